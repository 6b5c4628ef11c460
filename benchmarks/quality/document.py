"""The document: ``python -m benchmarks.quality.document REPORT...`` writes docs/quality.md.

Its plots are in a folder beside it with the name of the page.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.quality.joining import join
from benchmarks.quality.plots import figures
from benchmarks.quality.report import table
from model.evaluation.plots import write

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "quality.md"
MARK = "<!-- below: written by python -m benchmarks.quality.document -->"


def main(
    reports: Annotated[list[Path], typer.Argument(metavar="REPORT.json...")],
    page: Annotated[Path, typer.Option(help="The page; the text above its mark is kept.")] = PAGE,
) -> None:
    """Write the reports of ``--json`` below the page's mark, in the order given.

    Reports on the same folder with other seeds are joined into one.
    """
    above, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise typer.BadParameter(f"{page} has no line {MARK}")
    found = [json.loads(path.read_text(encoding="utf-8")) for path in reports]
    sections = [_section(report, page) for report in join(found)]
    page.write_text("\n\n".join([above.rstrip(), MARK, *sections]) + "\n", encoding="utf-8")


def _section(report: dict[str, Any], page: Path) -> str:
    name = Path(report["path"]).name
    seeds = ", ".join(map(str, report["seeds"]))
    plots = _plots(report, f"{name}-{report['network']}", page)
    lines = [
        f"## {name}",
        f"{report['questions']:,} questions; seeds {seeds}; {report['train_s']:,.0f} s to train.",
        *map(_peer, report.get("peers", {}).items()),
        f"```\n{table(report | {'path': name})}\n```",
        f"![{name}: Lately, baselines and published figures]({plots['standing']})",
        *_buys(report.get("buy", {})),
    ]
    if "reliability" in plots:
        lines.append(
            f"![How often a buy followed, by predicted probability]({plots['reliability']})"
        )
    if "learning" in plots:
        lines.append(f"Held-out quality during training, seed {report['seeds'][0]}:")
        lines.append(f"![{name}: learning curve]({plots['learning']})")
    return "\n\n".join(lines)


def _plots(report: dict[str, Any], name: str, page: Path) -> dict[str, str]:
    """Draw the plots of a report; returns their links, relative to the page."""
    safe = re.sub(r"[^\w.-]+", "-", name)
    drawn = figures(report)
    folder = page.with_suffix("")
    paths = write({f"{safe}-{what}": draw for what, draw in drawn.items()}, folder)
    links = (path.relative_to(page.parent).as_posix() for path in paths)
    return dict(zip(drawn, links, strict=True))


def _peer(named: tuple[str, Mapping[str, Any]]) -> str:
    name, result = named
    setup = ", ".join(f"{option} {value}" for option, value in result.get("setup", {}).items())
    spent = f"{result['epochs']} epochs in " if "epochs" in result else ""
    return f"{name}: {spent}{result['train_s']:,.0f} s{f'; {setup}' if setup else ''}."


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
