"""The result: what one run came to, and the lines and the table that show many of them."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

CHECKS = ("O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9")
_HEAD = ("fault", "runs", "events", *CHECKS, "ready s", "lag 0 s", "verdict")


class Result(NamedTuple):
    """One run of one fault.

    ``ready_s`` and ``quiet_s`` count from the heal until the worker is ready and the lag is zero.
    ``error`` says why a run broke off before the oracle could look.
    """

    fault: str
    seed: int
    events: int
    differences: dict[str, int]  # by check
    ready_s: float
    quiet_s: float
    first: str = ""
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether all was as promised."""
        return not self.error and not any(self.differences.values())

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**self._asdict(), "passed": self.passed}


def read_results(paths: Iterable[Path]) -> list[Result]:
    """The results in these files; of the same fault and seed the last one counts."""
    found: dict[tuple[str, int], Result] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            fields.pop("passed")
            found[fields["fault"], fields["seed"]] = Result(**fields)
    return list(found.values())


def line(results: Sequence[Result]) -> str:
    """One fault in one line, for a terminal."""
    return "  ".join(f"{cell:>7}" if n else f"{cell:<28}" for n, cell in enumerate(_row(results)))


def head() -> str:
    """What stands above the lines."""
    return "  ".join(f"{cell:>7}" if n else f"{cell:<28}" for n, cell in enumerate(_HEAD))


def table(results: Iterable[Result]) -> list[str]:
    """A Markdown table, one row for each fault."""
    by_fault: dict[str, list[Result]] = {}
    for result in results:
        by_fault.setdefault(result.fault, []).append(result)
    rows = [_HEAD, ["---", *["---:"] * (len(_HEAD) - 2), "---"]]
    rows += [_row(found) for _, found in sorted(by_fault.items())]
    return [f"| {' | '.join(row)} |" for row in rows]


def _row(results: Sequence[Result]) -> list[str]:
    differences: Counter[str] = sum((Counter(r.differences) for r in results), Counter())
    failed = [str(r.seed) for r in results if not r.passed]
    return [
        results[0].fault,
        str(len(results)),
        f"{sum(r.events for r in results):,}",
        *(str(differences[check]) for check in CHECKS),
        f"{max(r.ready_s for r in results):.1f}",
        f"{max(r.quiet_s for r in results):.1f}",
        f"FAILED on seed {', '.join(failed)}" if failed else "held",
    ]
