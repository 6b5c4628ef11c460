"""The document: ``python -m tests.chaos.document RESULTS…`` writes docs/reliability.md's tables."""

from pathlib import Path
from typing import Annotated

import typer

from model.evaluation.plots import write
from tests.chaos.faults import FAULTS
from tests.chaos.outcome import Outcome, read_outcome
from tests.chaos.result import read_results, table
from tests.kafka.broker import ROOT

PAGE = ROOT / "docs" / "reliability.md"
MARK = "<!-- below: written by python -m tests.chaos.document -->"


def main(
    results: Annotated[list[Path], typer.Argument(metavar="RESULTS.jsonl...")],
    soak: Annotated[Path | None, typer.Option(help="What an hour came to; its last line.")] = None,
    page: Annotated[Path, typer.Option(help="What stands above its mark stays.")] = PAGE,
) -> None:
    """Put what the runs came to below the page's mark, what each fault does, and the hour."""
    above, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise typer.BadParameter(f"{page} has no line {MARK}")
    found = [one for one in read_results(results) if one.fault in FAULTS]
    never = sorted(FAULTS.keys() - {one.fault for one in found})
    lines = [above.rstrip(), "", MARK, "", *table(found), ""]
    if never:
        lines += [f"Not run: {', '.join(never)}.", ""]
    lines += [f"- `{name}`: {fault.says}" for name, fault in sorted(FAULTS.items())]
    if soak:
        lines += _hour(read_outcome(soak), page)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _hour(outcome: Outcome, page: Path) -> list[str]:
    """The section of the soak; its figure is drawn beside the page."""
    verdict = "; ".join(outcome.failures) or "held"
    (plot,) = write({"soak": outcome.figure}, page.with_suffix(""))
    return [
        *("", "## An hour of faults", "", "| | |", "| --- | --- |"),
        *(f"| {name} | {text} |" for name, text in outcome.rows()),
        f"| verdict | {verdict} |",
        *(
            "",
            f"![Memory, descriptors and threads of worker a]({plot.parent.name}/{plot.name})",
            "",
        ),
        "Grey: the warm-up, until RocksDB's write buffers have been full for the first time.",
    ]


if __name__ == "__main__":
    typer.run(main)
