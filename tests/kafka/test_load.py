"""The load has everything in it, and reads to the oracle as it was meant; needs no broker."""

from collections import Counter

import pytest

from tests.kafka.faults import BAD_BY_REASON, MAX_BYTES, MakeBad, _padded
from tests.kafka.load import Load
from tests.kafka.message import Message
from tests.oracle.ledger import keep
from tests.oracle.message import Dead, read
from tests.oracle.record import Record
from tests.oracle.rules import DEFAULT_RULES

ITEMS = [f"i{n}" for n in range(200)]


def as_records(messages: list[Message]) -> list[Record]:
    ends: Counter[int] = Counter()
    records = []
    for m in messages:
        records.append(
            Record(m.partition, ends[m.partition], m.timestamp_ms, m.key, m.value, m.headers)
        )
        ends[m.partition] += 1
    return records


def test_same_seed_makes_the_same_load_and_another_seed_another() -> None:
    first, again, other = (Load(seed, ITEMS, n_events=500).messages() for seed in (1, 1, 2))

    assert first == again
    assert first != other


@pytest.mark.parametrize("seed", [0, 1])
def test_load_has_everything_in_it(seed: int) -> None:
    messages = Load(seed, ITEMS).messages()
    ledger = keep(as_records(messages), 4, DEFAULT_RULES)
    reasons = Counter(reason for reason, _ in ledger.dead.values())
    users = Counter({user: len(steps) for user, steps in ledger.steps.items()})

    assert len(messages) == 20_000
    assert {message.partition for message in messages} == {0, 1, 2, 3}
    assert len(ledger.dead) == pytest.approx(0.05 * 20_000, rel=0.15)
    assert set(reasons) == set(BAD_BY_REASON)
    assert min(reasons.values()) > 50
    assert ledger.outcomes["duplicate"] > 300
    assert ledger.outcomes["late"] > 200
    assert ledger.outcomes["future"] > 100
    assert ledger.outcomes["forgotten"] > 60
    assert 450 < len(users) <= 500
    assert users.most_common(1)[0][1] > 2000
    assert any(steps[-1].state.forgotten for steps in ledger.steps.values())
    assert any(len(steps[-1].state.actions) == 50 for steps in ledger.steps.values())


KINDS = [
    pytest.param(make, reason, id=f"{reason}-{number}")
    for reason, kinds in BAD_BY_REASON.items()
    for number, make in enumerate(kinds)
]


@pytest.mark.parametrize(("make", "reason"), KINDS)
def test_bad_message_dies_of_its_reason(make: MakeBad, reason: str) -> None:
    load = Load(0, ITEMS, n_events=0)
    body = {"user_id": "u1", "item_id": "i1", "action": "click", "ts": 1_700_000_000_000}
    bad = make(load._record("u1", body), body, 4)

    with pytest.raises(Dead) as dead:
        read(as_records([bad])[0], 4, DEFAULT_RULES)
    assert dead.value.reason == reason


def test_message_of_just_the_largest_size_lives() -> None:
    load = Load(0, ITEMS, n_events=0)
    body = {"user_id": "u1", "item_id": "i1", "action": "click", "ts": 1_700_000_000_000}
    largest = _padded(MAX_BYTES)(load._record("u1", body), body, 4)

    assert len(largest.value or b"") == 65_536
    assert read(as_records([largest])[0], 4, DEFAULT_RULES).user_id == "u1"
