"""The report: model, peers, baselines and published figures in one table."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

# From the papers and repositories named in docs/quality.md, by the number of questions. Figures
# "from memory" were not checked against their source.
PUBLISHED: Mapping[int, Mapping[str, tuple[float, float]]] = {
    22_363: {
        "SASRec (S3-Rec's run)": (0.0605, 0.0318),
        "S3-Rec": (0.0647, 0.0327),
        "DuoRec": (0.0845, 0.0443),
        "SASRec, sampled softmax (eSASRec's run)": (0.0921, 0.0531),
        "eSASRec": (0.0928, 0.0523),
    },
    60_858: {
        "SR-GNN, from memory": (50.73, 17.59),
        "GCE-GNN, from memory": (54.22, 19.04),
    },
    55_898: {"NARM": (68.32, 28.63), "SR-GNN": (70.57, 30.94)},
    25_412: {
        "GCE-GNN, from memory": (33.42, 15.42),
        "COTREC, from memory": (36.35, 18.04),
    },
}


Kind = Literal["model", "peer", "baseline", "published"]


class Row(NamedTuple):
    """A row of the report: a name and its figures, in the order of the report's metrics."""

    who: str
    kind: Kind
    figures: list[float]
    runs: list[list[float]]  # the figures of each seed, if there are several

    @property
    def least(self) -> list[float]:
        """The minimum over the seeds, metric by metric."""
        return [min(values) for values in zip(*self.runs, strict=True)]

    @property
    def most(self) -> list[float]:
        """The maximum over the seeds, metric by metric."""
        return [max(values) for values in zip(*self.runs, strict=True)]


def rows(report: Mapping[str, Any]) -> list[Row]:
    """All rows: the model first, then its peers, the baselines and published figures."""
    names = list(report["model"])

    def row(who: str, kind: Kind, result: Mapping[str, float], runs: Sequence[Any] = ()) -> Row:
        several = runs if len(runs) > 1 else ()
        of_seeds = [[one[name] for name in names] for one in several]
        return Row(who, kind, [result[name] for name in names], of_seeds)

    found = [row(f"Lately {report['network']}", "model", report["model"], report.get("runs", ()))]
    for who, result in report.get("peers", {}).items():
        found.append(row(f"{who} (same run)", "peer", result, result.get("runs", ())))
    found += [row(who, "baseline", result) for who, result in report["baselines"].items()]
    published = PUBLISHED.get(report["questions"], {})
    return found + [
        Row(f"{who} (published)", "published", list(result), [])
        for who, result in published.items()
    ]


def table(report: Mapping[str, Any]) -> str:
    """The report as aligned text; with several seeds the median, minimum and maximum."""
    names = list(report["model"])
    entries: list[tuple[str, list[float]]] = []
    for row in rows(report):
        entries.append((row.who, row.figures))
        if row.runs:
            entries.append((f"  least of {len(row.runs)} seeds", row.least))
            entries.append((f"  most of {len(row.runs)} seeds", row.most))
    width = max(len(who) for who, _ in entries)
    digits = 4 if report["model"][names[0]] <= 1 else 2
    head = f"{'':{width}}  " + "  ".join(f"{name:>7}" for name in names)
    lines = [
        f"{who:{width}}  " + "  ".join(f"{value:>7.{digits}f}" for value in result)
        for who, result in entries
    ]
    return "\n".join([f"{report['path']}: {report['protocol']}", head, *lines])
