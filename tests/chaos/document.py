"""The document: ``python -m tests.chaos.document RESULTS…`` writes docs/reliability.md's table."""

from pathlib import Path
from typing import Annotated

import typer

from tests.chaos.faults import FAULTS
from tests.chaos.result import read_results, table
from tests.kafka.broker import ROOT

PAGE = ROOT / "docs" / "reliability.md"
MARK = "<!-- below: written by python -m tests.chaos.document -->"


def main(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS.jsonl...")],
    page: Annotated[Path, typer.Option(help="What stands above its mark stays.")] = PAGE,
) -> None:
    """Put what the runs came to below the page's mark, and what each fault does."""
    above, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise typer.BadParameter(f"{page} has no line {MARK}")
    found = [one for one in read_results(results) if one.fault in FAULTS]
    never = sorted(FAULTS.keys() - {one.fault for one in found})
    lines = [above.rstrip(), "", MARK, "", *table(found), ""]
    if never:
        lines += [f"Not run: {', '.join(never)}.", ""]
    lines += [f"- `{name}`: {fault.says}" for name, fault in sorted(FAULTS.items())]
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
