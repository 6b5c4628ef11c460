"""The report: model, baselines and published figures, one below the other."""

from collections.abc import Mapping
from typing import Any

# From the papers and repositories named in docs/quality.md, by the number of questions asked. What
# is from memory was not read again before it was written here.
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


def table(report: Mapping[str, Any]) -> str:
    """Aligned lines for people."""
    names = list(report["model"])
    rows = [(f"Lately {report['network']}", [report["model"][name] for name in names])]
    rows += [(who, [said[name] for name in names]) for who, said in report["baselines"].items()]
    published = PUBLISHED.get(report["questions"], {})
    rows += [(f"{who} (published)", list(said)) for who, said in published.items()]
    width = max(len(who) for who, _ in rows)
    digits = 4 if report["model"][names[0]] <= 1 else 2
    head = f"{'':{width}}  " + "  ".join(f"{name:>7}" for name in names)
    lines = [
        f"{who:{width}}  " + "  ".join(f"{value:>7.{digits}f}" for value in said)
        for who, said in rows
    ]
    return "\n".join([f"{report['path']}: {report['protocol']}", head, *lines])
