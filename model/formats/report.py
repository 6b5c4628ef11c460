"""The conversion report: how many rows became what, and why the others became nothing."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ConversionReport:
    """Counts of one conversion; every row read is an event or rejected, so the sums agree.

    ``rejected`` counts rows by reason, and ``first`` says where each reason was met first.
    ``skipped`` names files of a given folder that are no part of the format.
    """

    rows: int = 0
    events: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def reject(self, reason: str, place: str) -> None:
        """Count one row that is no event."""
        self.rejected[reason] += 1
        self.first.setdefault(reason, place)

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON types."""
        return {
            "rows": self.rows,
            "events": dict(self.events),
            "rejected": {
                reason: {"rows": rows, "first": self.first[reason]}
                for reason, rows in self.rejected.most_common()
            },
            "skipped": self.skipped,
        }

    def lines(self) -> list[str]:
        """The same for people, the numbers aligned."""
        table = [("rows read", self.rows, "")]
        table += [(f"  {action} events", n, "") for action, n in self.events.most_common()]
        table += [
            (f"  not mapped: {reason}", n, f"  first: {self.first[reason]}")
            for reason, n in self.rejected.most_common()
        ]
        names = max(len(name) for name, _, _ in table)
        numbers = max(len(f"{n:,}") for _, n, _ in table)
        lines = [f"{name:<{names}}  {n:>{numbers},}{note}" for name, n, note in table]
        return lines + [f"not read: {name} is no part of this format" for name in self.skipped]
