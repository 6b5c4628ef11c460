"""The stream's validator and fold against the oracle's, on whole loads; needs no broker."""

from collections import defaultdict

import pytest

from stream.user_state import Rules, UserState
from tests.kafka.load import Load
from tests.kafka.verdicts import PARTITIONS, VALIDATOR, Fetched
from tests.oracle.fold import State
from tests.oracle.ledger import keep
from tests.oracle.record import Record
from tests.oracle.rules import DEFAULT_RULES
from tests.oracle.value import decode

ITEMS = [f"i{number}" for number in range(200)]
RULES = Rules(
    sequence_length=DEFAULT_RULES.sequence_length,
    dedupe_window=DEFAULT_RULES.dedupe_window,
    allowed_lateness_ms=DEFAULT_RULES.allowed_lateness_ms,
    max_future_ms=DEFAULT_RULES.max_future_ms,
    ttl_ms=DEFAULT_RULES.ttl_ms,
)


def partitions_of(seed: int) -> dict[int, list[Fetched]]:
    partitions: dict[int, list[Fetched]] = defaultdict(list)
    for m in Load(seed, ITEMS, n_events=5_000).messages():
        fetched = partitions[m.partition]
        fetched.append(Fetched(len(fetched), m.timestamp_ms, m.key, m.value, m.headers))
    return partitions


@pytest.mark.parametrize("seed", range(10, 14))
@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_stream_and_oracle_read_a_load_alike(seed: int, at_once: int) -> None:
    partitions = partitions_of(seed)
    log = [
        Record(partition, m.offset, m.timestamp, m.key, m.value, tuple(m.headers))
        for partition, messages in partitions.items()
        for m in messages
    ]
    ledger = keep(log, PARTITIONS, DEFAULT_RULES)
    dead: dict[tuple[int, int], str] = {}
    states: dict[tuple[int, str], State] = {}

    for partition, messages in partitions.items():
        users: dict[bytes, UserState] = defaultdict(UserState)
        for start in range(0, len(messages), at_once):
            events, letters = VALIDATOR.validate(messages[start : start + at_once], partition)
            dead |= {(partition, letter.message.offset): letter.reason for letter in letters}
            for event in events:
                users[event.key].apply(event, RULES)
        for key, user in users.items():
            states[partition, key.decode()] = decode(user.to_bytes())

    assert dead == {place: reason for place, (reason, _) in ledger.dead.items()}
    assert states == {user: steps[-1].state for user, steps in ledger.steps.items()}
