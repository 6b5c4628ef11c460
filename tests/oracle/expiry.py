"""Expiry: which users a worker deleted because their time to live was over, and whether it was."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.oracle.message import Dead, read
from tests.oracle.record import Record
from tests.oracle.rules import Rules
from tests.oracle.value import BadValue, decode

User = tuple[int, str]  # (partition, user id)
CAUSE = ("lately.cause", b"expired")


class Expiry(NamedTuple):
    """One user who was deleted: after the event of which offset, and when, by Kafka's clock."""

    user: User
    offset: int
    at_ms: int


def expiries(changelog: Iterable[Record]) -> Iterator[Expiry]:
    """Those that the changelog tells of."""
    for record in changelog:
        if record.value is None and CAUSE in record.headers and record.key is not None:
            user = record.partition, record.key.decode(errors="replace")
            offset = dict(record.headers).get("lately.applied_offset") or b"-1"
            yield Expiry(user, int(offset), record.timestamp_ms)


def by_user(changelog: Iterable[Record]) -> dict[User, set[int]]:
    """The offsets after which each user was deleted."""
    found: dict[User, set[int]] = defaultdict(set)
    for expiry in expiries(changelog):
        found[expiry.user].add(expiry.offset)
    return dict(found)


def too_early(
    events: Iterable[Record], changelog: list[Record], n_partitions: int, rules: Rules
) -> Iterator[tuple[Expiry, int]]:
    """Each expiry before its time, with the milliseconds that were left at least.

    A partition's time is at most that of its newest event plus what has gone by since, and never
    ahead of the clock.
    """
    ahead_ms: dict[int, int] = defaultdict(lambda: -(1 << 62))  # event time before Kafka's
    for record in events:
        try:
            event = read(record, n_partitions, rules)
        except Dead:
            continue
        gap = min(event.ts, record.timestamp_ms + rules.max_future_ms) - record.timestamp_ms
        ahead_ms[record.partition] = max(ahead_ms[record.partition], gap)
    last_ms = _last_events_ms(changelog)
    for expiry in expiries(changelog):
        partition, _ = expiry.user
        now_ms = expiry.at_ms + min(0, ahead_ms[partition])
        left_ms = last_ms.get((*expiry.user, expiry.offset), 1 << 62) + rules.ttl_ms - now_ms
        if left_ms >= 0:
            yield expiry, left_ms


def _last_events_ms(changelog: Iterable[Record]) -> dict[tuple[int, str, int], int]:
    """The time of the newest event in each state."""
    found = {}
    for record in changelog:
        if record.value is None or record.key is None:
            continue
        try:
            state = decode(record.value)
        except BadValue:
            continue
        user = record.key.decode(errors="replace")
        times = [state.as_of_ts, *(action.ts for action in state.actions)]
        found[record.partition, user, state.applied_offset] = max(times)
    return found
