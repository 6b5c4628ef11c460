"""The conversion report: how many rows became events, and why the others did not."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class ConversionReport:
    """Counts of one conversion; every row read is an event or rejected, so the sums agree.

    ``rejected`` counts rows by reason, and ``first`` holds the first row with each reason.
    ``skipped`` lists files of a given folder that do not belong to the format.
    """

    rows: int = 0
    events: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)

    def reject(self, reason: str, row: str) -> None:
        """Count one row that is not an event."""
        self.rejected[reason] += 1
        self.first.setdefault(reason, row)

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
        """The counts as text, with aligned numbers."""
        table = [("rows read", self.rows, "")]
        table += [(f"  {action} events", n, "") for action, n in self.events.most_common()]
        table += [
            (f"  not mapped: {reason}", n, f"  first: {self.first[reason]}")
            for reason, n in self.rejected.most_common()
        ]
        names = max(len(name) for name, _, _ in table)
        numbers = max(len(f"{n:,}") for _, n, _ in table)
        lines = [f"{name:<{names}}  {n:>{numbers},}{note}" for name, n, note in table]
        return lines + [f"not read: {name} is not a file of this format" for name in self.skipped]
