"""The document: ``python -m benchmarks.quality.document REPORT...`` writes docs/quality.md."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.quality.report import table

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "quality.md"
MARK = "<!-- below: written by python -m benchmarks.quality.document -->"


def main(
    reports: Annotated[list[Path], typer.Argument(metavar="REPORT.json...")],
    page: Annotated[Path, typer.Option(help="The page; what stands above its mark stays.")] = PAGE,
) -> None:
    """Put what ``--json`` wrote below the page's mark, in the order given."""
    above, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise typer.BadParameter(f"{page} has no line {MARK}")
    sections = [_section(json.loads(path.read_text(encoding="utf-8"))) for path in reports]
    page.write_text("\n\n".join([above.rstrip(), MARK, *sections]) + "\n", encoding="utf-8")


def _section(report: dict[str, Any]) -> str:
    name = Path(report["path"]).name
    seeds = ", ".join(map(str, report["seeds"]))
    lines = [
        f"## {name}",
        f"{report['questions']:,} questions; seeds {seeds}; {report['train_s']:,.0f} s to train.",
        f"```\n{table(report | {'path': name})}\n```",
        *_buys(report.get("buy", {})),
    ]
    return "\n\n".join(lines)


def _buys(buy: dict[str, list[dict[str, Any]]]) -> list[str]:
    if not buy:
        return []
    rows = ["| buy later in the visit | AUC | 95 % | ECE | 95 % |", "|---|---|---|---|---|"]
    for name, runs in buy.items():
        for run in runs:
            auc, ece = (_between(run["intervals"][metric]) for metric in ("auc", "ece"))
            rows.append(f"| {name} | {run['auc']:.3f} | {auc} | {run['ece']:.3f} | {ece} |")
    return ["\n".join(rows)]


def _between(interval: list[float]) -> str:
    return f"{interval[0]:.3f}–{interval[1]:.3f}"


if __name__ == "__main__":
    typer.run(main)
