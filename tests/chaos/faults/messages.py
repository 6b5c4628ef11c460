"""What befalls the messages: fuzz, repeats, giants, crowds of one, strangers, and new fields."""

import json
from collections.abc import Callable
from typing import Any

from tests.chaos.faults.fault import fault
from tests.chaos.fuzz import KINDS, fuzzed
from tests.chaos.run import Run
from tests.kafka.message import Message
from tests.oracle.hashing import partition_of

Body = dict[str, Any]
DRIFTS: list[Callable[[Body], Body]] = [
    lambda body: body,
    lambda body: {**body, "v": 2, "context": {"page": [1, 2, {"deep": None}]}},
    lambda body: {**body, "price": None, "session_id": None, "category": None},
    lambda body: {**body, "price": 3},
    lambda body: {**body, "price": "3.00"},
    lambda body: {**body, "quantity": 1e3, "event_id": None},
    lambda body: {**body, "item_id": 17},
    lambda body: {"user": body["user_id"], **{k: v for k, v in body.items() if k != "user_id"}},
    lambda body: {**body, "ts": str(body["ts"])},
    lambda body: {**body, "action": body["action"].upper()},
    lambda body: {**body, "items": [body["item_id"]]},
]
GIANT_BYTES = (65_537, 500_000, 1_000_000)
HOT_SHARE = 0.8


def _event(good: Message, user: str, **fields: Any) -> Message:
    """A click of this user with these fields, when the good message was."""
    body = {"user_id": user, "item_id": "i1", "action": "click", "ts": good.timestamp_ms}
    return _message(good, user, {**body, **fields})


def _message(good: Message, user: str, body: Body) -> Message:
    key = user.encode()
    return Message(partition_of(key, 4), good.timestamp_ms, key, json.dumps(body).encode())


@fault(events=42_000)
def fuzz(run: Run) -> None:
    """Twenty thousand messages of nonsense, as many good ones: each bad one is dead once."""
    run.start().wait_ready()
    broken = set(run.random.sample(range(40_000), 20_000))
    mixed = [
        fuzzed(run.random, message) if place in broken else message
        for place, message in enumerate(run.take(40_000))
    ]
    run.say(f"{len(KINDS)} kinds of nonsense")
    run.stage.feed(mixed)
    run.healed()


@fault()
def duplicates(run: Run) -> None:
    """Each event three times, in a row, in the same batch and much later."""
    run.start().wait_ready()
    once = run.take(1_500)
    run.stage.flow([m for m in once for _ in range(2)], per_s=1_500).result()
    run.stage.feed(once[-500:])
    run.healed()


@fault()
def giant_messages(run: Run) -> None:
    """Messages from just over our limit to the largest that the broker takes."""
    run.start().wait_ready()
    good = run.take(300)
    giants = [
        _event(m, f"user-{n}", note="x" * size)
        for n, m in enumerate(good[:30])
        for size in GIANT_BYTES
    ]
    run.stage.feed([*good[:150], *giants, *good[150:]])
    run.healed()


@fault(events=10_000)
def hot_key(run: Run) -> None:
    """Four of five events are one user's."""
    run.start().wait_ready()
    mixed = [
        _event(m, "hot", item_id=f"i{n % 97}") if run.random.random() < HOT_SHARE else m
        for n, m in enumerate(run.take(8_000))
    ]
    run.stage.flow(mixed, per_s=3_000).result()
    run.healed()


@fault()
def strangers(run: Run) -> None:
    """Users and items that the model has never seen, one event each."""
    run.start().wait_ready()
    unknown = [
        _event(m, f"stranger-{n}", item_id=f"strange-{n}") for n, m in enumerate(run.take(3_000))
    ]
    run.stage.feed(unknown)
    run.healed()


@fault()
def schema_drift(run: Run) -> None:
    """A producer adds fields, drops optional ones, changes their types, and renames needed ones."""
    run.start().wait_ready()
    drifting = []
    for n, good in enumerate(run.take(3_000)):
        user = f"user-{n % 50}"
        body = {"user_id": user, "item_id": "i1", "action": "click", "ts": good.timestamp_ms}
        drifting.append(_message(good, user, run.random.choice(DRIFTS)(body)))
    run.stage.feed(drifting)
    run.healed()
