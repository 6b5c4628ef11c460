"""The document: ``python -m benchmarks.quality.document REPORT...`` writes docs/quality.md.

Its plots lie beside it, in a folder of the page's own name.
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
    page: Annotated[Path, typer.Option(help="The page; what stands above its mark stays.")] = PAGE,
) -> None:
    """Put what ``--json`` wrote below the page's mark, in the order given.

    Reports on one folder, of other seeds, stand there as one.
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
    """Draw what there is; where it lies, as the page has to say it."""
    safe = re.sub(r"[^\w.-]+", "-", name)
    drawn = figures(report)
    folder = page.with_suffix("")
    paths = write({f"{safe}-{what}": draw for what, draw in drawn.items()}, folder)
    links = (path.relative_to(page.parent).as_posix() for path in paths)
    return dict(zip(drawn, links, strict=True))


def _peer(named: tuple[str, Mapping[str, Any]]) -> str:
    name, said = named
    setup = ", ".join(f"{option} {value}" for option, value in said.get("setup", {}).items())
    spent = f"{said['epochs']} epochs in " if "epochs" in said else ""
    return f"{name}: {spent}{said['train_s']:,.0f} s{f'; {setup}' if setup else ''}."


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
