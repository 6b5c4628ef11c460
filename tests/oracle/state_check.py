"""The state check (O1): every changelog record, and each user's last one, is the fold's state."""

from collections import defaultdict
from collections.abc import Container, Iterator

from tests.oracle.evidence import Difference, Evidence
from tests.oracle.expiry import CAUSE
from tests.oracle.fold import State
from tests.oracle.ledger import Ledger, Step, User
from tests.oracle.record import Record
from tests.oracle.value import BadValue, decode


def check_state(evidence: Evidence, ledger: Ledger) -> Iterator[Difference]:
    """Compare the changelog with the fold, user by user."""
    records: dict[User, list[Record]] = defaultdict(list)
    for record in evidence.changelog:
        if record.key is None:
            yield Difference("O1 state", _place(record), "a record without key", "a user id")
            continue
        records[record.partition, record.key.decode(errors="replace")].append(record)
    for user in records.keys() - ledger.steps.keys():
        yield Difference("O1 state", _name(user), records[user][-1].value, "no state at all")
    for user, steps in ledger.steps.items():
        late_ones = evidence.interruptions > 0
        yield from _check_user(
            user, steps, records.get(user, []), ledger.expired.get(user, set()), late_ones=late_ones
        )


def _check_user(
    user: User,
    steps: list[Step],
    records: list[Record],
    expired: Container[int],
    *,
    late_ones: bool,
) -> Iterator[Difference]:
    """With ``late_ones`` a worker that was cut off may have written once more, if it is mended."""
    by_offset = {step.offset: step.state for step in steps}
    latest: State | None = None
    before = -1
    markers: set[int] = set()  # the offsets of the forgets that have one so far
    for record in records:
        where = f"{_name(user)}, changelog {_place(record)}"
        if record.value is None:
            ends = set(by_offset) if CAUSE in record.headers else markers
            may_be_of = (
                ends if late_ones else ends & {-1 if latest is None else latest.applied_offset}
            )
            if (reach := _reach(record)) not in may_be_of:
                expected_ones = sorted(may_be_of) or "none: not forgotten before it"
                yield Difference("O1 state", where, f"a tombstone of {reach}", expected_ones)
            latest = None
            continue
        try:
            latest = decode(record.value)
        except BadValue as error:
            yield Difference("O1 state", where, error, "a value of format 1 or 2")
            return
        if latest.applied_offset <= before and not late_ones:
            yield Difference(
                "O1 state", where, f"offset {latest.applied_offset}", f"one after {before}"
            )
        before = max(before, latest.applied_offset)
        expected = by_offset.get(latest.applied_offset)
        if expected is None:
            found = f"applied offset {latest.applied_offset}"
            yield Difference("O1 state", where, found, "the offset of an event that counts")
        else:
            yield from _compare(where, latest, expected)
        if latest.forgotten:
            markers.add(latest.applied_offset)
    last = steps[-1].state
    if last.applied_offset in expired:
        if latest is not None and not late_ones:
            found = f"state of offset {latest.applied_offset}"
            yield Difference("O1 state", f"{_name(user)}, last state", found, "expired")
        return
    yield from _check_last(user, last, latest, bool(records))


def _reach(record: Record) -> int | None:
    """The offset of the forget that a tombstone obeys, by its header."""
    value = dict(record.headers).get("lately.applied_offset")
    return None if value is None else int(value)


def _check_last(
    user: User, expected: State, latest: State | None, any_records: bool
) -> Iterator[Difference]:
    where = f"{_name(user)}, last state"
    if expected.forgotten:
        if latest is not None:
            found = f"state of offset {latest.applied_offset}"
            yield Difference("O1 state", where, found, "a tombstone: the user is forgotten")
        elif not any_records:
            yield Difference("O1 state", where, "nothing", "a marker, then a tombstone")
    elif latest is None:
        yield Difference("O1 state", where, "nothing", f"state of offset {expected.applied_offset}")
    elif latest.applied_offset != expected.applied_offset:
        yield Difference(
            "O1 state",
            where,
            f"state of offset {latest.applied_offset}",
            f"state of offset {expected.applied_offset}",
        )


def _compare(where: str, found: State, expected: State) -> Iterator[Difference]:
    if expected.forgotten:
        found = found._replace(as_of_ts=expected.as_of_ts)  # a marker's clock says nothing
    for field, seen, wanted in zip(State._fields, found, expected, strict=True):
        if seen != wanted:
            yield Difference("O1 state", f"{where}, {field}", seen, wanted)


def _name(user: User) -> str:
    return f"user {user[1]!r} of partition {user[0]}"


def _place(record: Record) -> str:
    return f"partition {record.partition} offset {record.offset}"
