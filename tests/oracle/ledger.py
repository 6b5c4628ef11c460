"""The ledger: what a log of events must have led to, worked out one record at a time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from tests.oracle.fold import State, fold
from tests.oracle.message import Dead, Reason, read
from tests.oracle.record import Record
from tests.oracle.rules import Rules

User = tuple[int, str]  # (partition, user id): state lives in the partition the event came by


class Step(NamedTuple):
    """One event that counted (duplicates do not), and the user's state after it."""

    offset: int
    outcome: str
    state: State


class Ledger(NamedTuple):
    """Every user's steps in offset order, every dead message, and how many of each outcome."""

    steps: dict[User, list[Step]]
    dead: dict[tuple[int, int], tuple[Reason, Record]]  # by (partition, offset)
    outcomes: Counter[str]
    expired: Mapping[User, Set[int]] = {}  # the offsets after which a user was deleted

    @property
    def removed(self) -> dict[tuple[int, int], bool]:
        """Of each wish, by (partition, offset), whether there was anybody to forget."""
        found = {}
        for user, steps in self.steps.items():
            before: State | None = None
            for step in steps:
                if step.outcome == "forgotten":
                    held = before is not None and not before.forgotten
                    gone = before is not None and self.has_expired(user, before)
                    found[user[0], step.offset] = held and not gone
                before = step.state
        return found

    def has_expired(self, user: User, state: State) -> bool:
        """Whether the user was deleted after this state, because nothing came for too long."""
        return state.applied_offset in self.expired.get(user, ())


def keep(
    events: Iterable[Record],
    n_partitions: int,
    rules: Rules,
    expired: Mapping[User, Set[int]] | None = None,
) -> Ledger:
    """Fold the log; records of one partition must come in offset order.

    Who expired after an offset starts over with the next event.
    """
    ledger = Ledger({}, {}, Counter(), expired or {})
    for record in events:
        try:
            event = read(record, n_partitions, rules)
        except Dead as dead:
            ledger.dead[record.partition, record.offset] = dead.reason, record
            ledger.outcomes["dead"] += 1
            continue
        user = record.partition, event.user_id
        steps = ledger.steps.setdefault(user, [])
        before = steps[-1].state if steps else None
        if before is not None and ledger.has_expired(user, before):
            before = State(before.applied_offset, 0)
        state, outcome = fold(before, event, record.offset, clock_of(record), rules)
        ledger.outcomes[outcome] += 1
        if state is not None and outcome != "duplicate":
            steps.append(Step(record.offset, outcome, state))
    return ledger


def clock_of(record: Record) -> int:
    """The time of a record; -1 for none, which 0 and a number of seconds are, too."""
    return record.timestamp_ms if 10**11 <= record.timestamp_ms < 10**14 else -1
