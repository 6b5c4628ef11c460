"""Which events of some users belong into a log: those that a worker keeps, of nobody forgotten."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from stream.events import FORGET, Event
from stream.export.period import Period
from stream.export.spill import Row
from stream.user_state import Rules, UserState

_KEPT = frozenset({"applied", "future"})  # the outcomes of an event that a worker keeps


class Forgets:
    """The forget events of some users, and which rows they erase.

    A forget erases what came before it: in its own partition by offset, in another one, where a
    client may have put the user's key too, by the time of the record. A record without a time is
    erased by any.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._offsets: dict[tuple[str, int], int] = {}
        self._until_ms: dict[str, dict[int, float]] = {}
        for row in rows:
            if row.action == FORGET:
                place = (row.user_id, row.partition)
                self._offsets[place] = max(row.offset, self._offsets.get(place, -1))
                until_ms = self._until_ms.setdefault(row.user_id, {})
                found_ms = math.inf if row.timestamp_ms < 0 else row.timestamp_ms
                until_ms[row.partition] = max(found_ms, until_ms.get(row.partition, -1))

    def erase(self, row: Row) -> bool:
        """Whether the user asked to be forgotten after this event."""
        until_ms = self._until_ms.get(row.user_id)
        if until_ms is None:
            return False
        if row.offset < self._offsets.get((row.user_id, row.partition), -1):
            return True
        elsewhere = (ms for partition, ms in until_ms.items() if partition != row.partition)
        return row.timestamp_ms <= max(elsewhere, default=-math.inf)


def kept(rows: Iterable[Row], period: Period, rules: Rules, counts: Counter[str]) -> Iterator[Row]:
    """The rows of the log, in the order given, with the event time that a worker gives them.

    ``rows`` is read twice, and has every row of its users, each partition in the order of its
    offsets. What becomes of each row is counted under ``exported`` or the reason why it is left
    out.
    """
    forgets = Forgets(rows)
    states: dict[tuple[str, int], UserState] = {}
    for row in rows:
        state = states.setdefault((row.user_id, row.partition), UserState())
        outcome: str = state.apply(_event(row), rules)
        ts_ms = row.timestamp_ms if outcome == "future" else row.ts_ms
        if row.action == FORGET:
            counts["forget_events"] += 1
        elif outcome not in _KEPT:
            counts[outcome] += 1
        elif forgets.erase(row):
            counts["forgotten"] += 1
        elif ts_ms not in period:
            counts["outside"] += 1
        else:
            counts["exported"] += 1
            yield row if ts_ms == row.ts_ms else msgspec.structs.replace(row, ts_ms=ts_ms)


def _event(row: Row) -> Event:
    message: Any = None  # of no account once an event is valid
    return Event(
        row.user_id.encode(),
        row.offset,
        row.timestamp_ms,
        row.item_id,
        row.action,
        row.ts_ms,
        row.event_id,
        message,
    )
