"""The faithful worker: what a worker without faults would write, for testing the oracle itself."""

import json
from collections.abc import Sequence as Batch
from typing import Any

import msgspec

from model.scorer import ANYTHING, ModelInfo, Score
from model.sequence import Sequence
from tests.oracle.answers import Answers
from tests.oracle.evidence import Evidence
from tests.oracle.fold import State
from tests.oracle.hashing import partition_of, receipt_id, score_id
from tests.oracle.ledger import Ledger, keep
from tests.oracle.record import Record
from tests.oracle.rules import DEFAULT_RULES

TOPIC = "events"
DEAD_PARTITIONS = 2
RECEIPT_PARTITIONS = 3
GROUP = "shop"


class CountingScorer:
    """Answers with the sequence's length and last item, so that any change of it shows."""

    info = ModelInfo(name="counting", version="0123456789ab", device="cpu", horizon_s=1800)
    vocabulary = ANYTHING

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """Score each sequence by itself."""
        return [
            Score(
                items=[(s.items[-1], 1 / (1 + len(s.items)))],
                categories=[],
                intent={"buy": (s.now_ms % 1000) / 1000},
                quality="full",
            )
            for s in sequences
        ]


def event(
    partition: int, offset: int, user: str, ts: int, n_partitions: int = 4, **fields: Any
) -> Record:
    """A keyed event record; ``fields`` go into the body, and None takes one out."""
    body = {"user_id": user, "item_id": "i1", "action": "click", "ts": ts, **fields}
    body = {name: value for name, value in body.items() if value is not None}
    return Record(partition, offset, ts, user.encode(), json.dumps(body).encode())


def user_of_partition(partition: int, n_partitions: int = 4) -> str:
    """A user id that the default partitioner puts there."""
    names = (f"user-{number}" for number in range(1000))
    return next(name for name in names if partition_of(name.encode(), n_partitions) == partition)


def encode(state: State) -> bytes:
    """The state value of format 1, or of format 2 where an action has a category."""
    kinds = list(dict.fromkeys(action.kind for action in state.actions))
    fields = [
        state.applied_offset,
        state.as_of_ts,
        [action.item_id for action in state.actions],
        [action.ts for action in state.actions],
        kinds,
        bytes(kinds.index(action.kind) for action in state.actions),
        b"".join(state.event_ids),
    ]
    names = list(dict.fromkeys(action.category for action in state.actions if action.category))
    if names:
        fields += [names, bytes(["", *names].index(action.category) for action in state.actions)]
    version = b"\x02" if names else b"\x01"
    return version + msgspec.msgpack.encode([*fields, state.forgotten])


def work(events: list[Record], n_partitions: int = 4, merge: int = 3) -> Evidence:
    """Write scores and changelog at each user's every ``merge``-th step and at the last one."""
    ledger = keep(events, n_partitions, DEFAULT_RULES)
    scores: list[Record] = []
    changelog: list[Record] = []
    answers = Answers(CountingScorer())
    for (partition, user), steps in ledger.steps.items():
        key = user.encode()
        for number, step in enumerate(steps, start=1):
            forgotten = step.state.forgotten
            if number % merge and number < len(steps) and not forgotten:
                continue
            value = None if forgotten else score(answers, user, partition, step.offset, step.state)
            scores.append(Record(partition, len(scores), 0, key, value))
            changelog.append(Record(partition, len(changelog), 0, key, encode(step.state)))
            if forgotten:
                changelog.append(tombstone(partition, len(changelog), key, step.offset))
    ends = dict.fromkeys(range(n_partitions), 0) | {r.partition: r.offset + 1 for r in events}
    return Evidence(
        TOPIC,
        n_partitions,
        DEAD_PARTITIONS,
        RECEIPT_PARTITIONS,
        events,
        changelog,
        scores,
        dead_letters(ledger),
        receipts(ledger, events),
        dict(ends),
        ends,
        GROUP,
    )


def tombstone(partition: int, offset: int, key: bytes, reach: int) -> Record:
    """What follows the marker of a forget at the offset ``reach``."""
    header = ("lately.applied_offset", b"%d" % reach)
    return Record(partition, offset, 0, key, None, (header,))


def score(answers: Answers, user: str, partition: int, offset: int, state: State) -> bytes:
    """A score as the wire contract has it."""
    sequence = state.sequence()
    info, answer = answers.info, answers.of(sequence)
    document = {
        "score_id": score_id(user, offset, info.version),
        "user_id": user,
        "as_of": {"topic": TOPIC, "partition": partition, "offset": offset, "ts": sequence.now_ms},
        "scored_at": 1_700_000_000_000 + offset,
        "valid_until": sequence.now_ms + info.horizon_s * 1000,
        "model": {"name": info.name, "version": info.version},
        "items": [{"item_id": item, "score": p} for item, p in answer.items],
        "categories": [],
        "intent": {**answer.intent, "horizon_s": info.horizon_s},
        "n_events": len(state.actions),
        "quality": answer.quality,
    }
    return json.dumps(document).encode()


def dead_letters(ledger: Ledger) -> list[Record]:
    """One letter for each dead message."""
    return [
        Record(
            partition % DEAD_PARTITIONS,
            number,
            0,
            message.key,
            message.value,
            (
                *message.headers,
                ("__streams.errors.topic", TOPIC.encode()),
                ("__streams.errors.partition", b"%d" % partition),
                ("__streams.errors.offset", b"%d" % offset),
                ("__streams.errors.exception", b"InvalidEvent"),
                ("__streams.errors.message", b"made up"),
                ("lately.reason", reason.encode()),
            ),
        )
        for number, ((partition, offset), (reason, message)) in enumerate(ledger.dead.items())
    ]


def receipts(ledger: Ledger, events: Batch[Record]) -> list[Record]:
    """One receipt for each forget event."""
    stamped = {(event.partition, event.offset): event.timestamp_ms for event in events}
    return [
        Record(
            partition % RECEIPT_PARTITIONS,
            number,
            0,
            f"{partition}-{offset}".encode(),
            json.dumps(
                {
                    "receipt_id": receipt_id(TOPIC, partition, offset, GROUP),
                    "forget": {
                        "topic": TOPIC,
                        "partition": partition,
                        "offset": offset,
                        "ts": stamped[partition, offset],
                    },
                    "forgotten_at": 1_700_000_000_000,
                    "group": GROUP,
                    "removed": removed,
                }
            ).encode(),
        )
        for number, ((partition, offset), removed) in enumerate(ledger.removed.items())
    ]
