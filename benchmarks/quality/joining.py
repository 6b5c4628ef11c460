"""Joins reports on the same folder with other seeds, from separate runs, into one report."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

Report = dict[str, Any]
_SAME = ("protocol", "questions")


def join(reports: Iterable[Report]) -> list[Report]:
    """One report for each folder and network, in the order of their first occurrence.

    Raises ValueError for reports on one folder that differ in protocol or questions.
    """
    groups: dict[tuple[str, str], list[Report]] = {}
    for report in reports:
        groups.setdefault((report["path"], report["network"]), []).append(report)
    return [_joined(group) for group in groups.values()]


def _joined(group: Sequence[Report]) -> Report:
    first = group[0]
    if len(group) == 1:
        return first
    for field in _SAME:
        if any(report[field] != first[field] for report in group):
            raise ValueError(f"{first['path']}: {field} differs between the reports")
    runs = _all(group, "runs")
    joined = {
        **first,
        "seeds": _all(group, "seeds"),
        "runs": runs,
        "learning": _all(group, "learning"),
        "model": _medians(runs),
        "train_s": median(report["train_s"] for report in group for _ in report["seeds"]),
    }
    if "buy" in first:
        joined["buy"] = {
            name: [run for report in group for run in report["buy"][name]] for name in first["buy"]
        }
    if all("peers" in report for report in group):
        joined["peers"] = {
            name: _peer([report["peers"][name] for report in group]) for name in first["peers"]
        }
    return joined


def _peer(found: Sequence[Mapping[str, Any]]) -> Report:
    runs = _all(found, "runs")
    spent = {
        name: median(peer[name] for peer in found for _ in peer["runs"])
        for name in ("train_s", "epochs")
    }
    return {**found[0], **_medians(runs), **spent, "runs": runs}


def _all(reports: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return [one for report in reports for one in report[name]]


def _medians(runs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(run[name] for run in runs) for name in runs[0]}
