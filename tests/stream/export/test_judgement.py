"""What a worker keeps is exported, by the oracle's own rules; what was forgotten is not."""

from collections import Counter, defaultdict
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from stream.export import export, judgement
from stream.export.judgement import kept
from stream.export.period import Period
from stream.export.spill import Row
from stream.user_state import Outcome, Rules
from tests.oracle.fold import State, fold
from tests.oracle.message import Event
from tests.oracle.rules import Rules as OracleRules

NOW_MS = 1_790_000_000_000
RULES = Rules(
    sequence_length=1, dedupe_window=2, allowed_lateness_ms=50, max_future_ms=20, ttl_ms=100
)
ALWAYS = Period(0, NOW_MS * 2)


def row(
    offset: int,
    *,
    user: str = "ann",
    partition: int = 0,
    action: str = "click",
    ts: int | None = None,
    record_ms: int | None = None,
    event_id: str | None = None,
) -> Row:
    """By default each event comes a millisecond after the one before it, and at once."""
    record_ms = NOW_MS + offset if record_ms is None else record_ms
    ts = record_ms if ts is None else ts
    return Row(user, partition, offset, record_ms, ts, action, f"i{offset}", event_id)


def forget(offset: int, *, partition: int = 0, record_ms: int | None = None) -> Row:
    return row(offset, partition=partition, action="forget", record_ms=record_ms)


def exported(
    rows: list[Row], period: Period = ALWAYS
) -> tuple[list[tuple[int, int]], Counter[str]]:
    """Partition and offset of each row that is exported, and the counts."""
    counts: Counter[str] = Counter()
    return [(r.partition, r.offset) for r in kept(rows, period, RULES, counts)], counts


def test_who_asks_to_be_forgotten_is_not_in_the_log_and_who_comes_back_is_again() -> None:
    rows = [row(0), row(1, user="bob"), row(2), forget(3), row(4)]
    found, counts = exported(rows)

    assert found == [(0, 1), (0, 4)]
    assert counts == {"exported": 2, "forgotten": 2, "forget_events": 1}


def test_a_forget_counts_in_every_partition() -> None:
    """A client that places keys in another way may have put the user's events elsewhere."""
    rows = [
        row(5, partition=0, record_ms=NOW_MS),
        row(7, partition=1, record_ms=NOW_MS),
        row(8, partition=1, record_ms=NOW_MS + 9),
        forget(6, partition=0, record_ms=NOW_MS + 3),
    ]

    assert exported(rows)[0] == [(1, 8)]


def test_a_record_without_a_time_is_erased_by_a_forget_elsewhere() -> None:
    rows = [row(1, partition=1, record_ms=-1, ts=NOW_MS), forget(0)]
    assert exported(rows)[0] == []

    rows = [row(1, partition=1), forget(0, record_ms=-1)]
    assert exported(rows)[0] == []


def test_a_forget_of_one_user_leaves_the_others() -> None:
    assert exported([row(0, user="bob"), forget(1)])[0] == [(0, 0)]


def test_late_and_duplicate_events_are_left_out() -> None:
    rows = [
        row(0, ts=NOW_MS, event_id="e0"),
        row(1, ts=NOW_MS - 51, event_id="e1"),  # the rule says 50 ms
        row(2, ts=NOW_MS - 50, event_id="e2"),
        row(3, ts=NOW_MS, event_id="e2"),
        row(4, ts=NOW_MS, event_id="e3"),
        row(5, ts=NOW_MS, event_id="e0"),  # two ids are remembered, e2 and e3
    ]
    found, counts = exported(rows)

    assert found == [(0, 0), (0, 2), (0, 4), (0, 5)]
    assert counts == {"exported": 4, "late": 1, "duplicate": 1}


def test_a_time_in_the_future_becomes_that_of_the_record() -> None:
    counts: Counter[str] = Counter()
    found = list(kept([row(0, ts=NOW_MS + 21, record_ms=NOW_MS)], ALWAYS, RULES, counts))

    assert [r.ts_ms for r in found] == [NOW_MS]


def test_the_period_is_one_of_event_time_as_a_worker_gives_it() -> None:
    rows = [
        row(0, ts=NOW_MS - 1),
        row(1, ts=NOW_MS),
        row(2, ts=NOW_MS + 10_000, record_ms=NOW_MS + 5),  # clamped to 5
        row(3, ts=NOW_MS + 10, record_ms=NOW_MS + 5),
    ]
    found, counts = exported(rows, Period(NOW_MS, NOW_MS + 10))

    assert found == [(0, 1), (0, 2)]
    assert counts["outside"] == 2


some_rows = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob"]),
        st.integers(0, 1),  # partition
        st.sampled_from(["click", "click", "click", "forget"]),
        st.integers(-60, 60),  # event time, against that of the record
        st.sampled_from([None, "e1", "e2", "e3"]),
    ),
    max_size=30,
)


@given(some_rows, st.integers(1, 150))
def test_the_log_is_what_the_oracle_keeps(
    drawn: list[tuple[str, int, str, int, str | None]], pause_ms: int
) -> None:
    rows = [
        row(
            offset,
            user=user,
            partition=partition,
            action=action,
            record_ms=NOW_MS + offset * pause_ms,
            ts=NOW_MS + offset * pause_ms + ahead_ms,
            event_id=None if action == "forget" else event_id,
        )
        for offset, (user, partition, action, ahead_ms, event_id) in enumerate(drawn)
    ]
    rules = OracleRules(
        dedupe_window=RULES.dedupe_window,
        allowed_lateness_ms=RULES.allowed_lateness_ms,
        max_future_ms=RULES.max_future_ms,
        ttl_ms=RULES.ttl_ms,
    )
    states: dict[tuple[str, int], State | None] = defaultdict(lambda: None)
    expected: list[tuple[str, int]] = []
    # Record times ascend over all partitions, so a forget erases whatever of the user came before.
    for r in rows:
        event = Event(r.user_id, r.item_id, r.action, r.ts_ms, r.event_id)
        place = r.user_id, r.partition
        states[place], outcome = fold(states[place], event, r.offset, r.timestamp_ms, rules)
        if outcome == "forgotten":
            expected = [(user, offset) for user, offset in expected if user != r.user_id]
        elif outcome in ("applied", "future"):
            expected.append((r.user_id, r.offset))
    found = [(r.user_id, r.offset) for r in kept(rows, ALWAYS, RULES, Counter())]

    assert found == expected


def test_whatever_is_left_out_is_said_by_its_outcome() -> None:
    assert set(get_args(Outcome)) - judgement._KEPT <= set(export._LEFT_OUT)
