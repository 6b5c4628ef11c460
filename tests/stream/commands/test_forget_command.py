"""`lately forget` against a broker: the events it sends, and the receipts it accepts."""

import asyncio
import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from tests.oracle.hashing import partition_of
from tests.stream.commands.shop import PARTITIONS, Record, Shop, write

# Returns the records that a worker writes to the receipts topic for an event.
Answer = Callable[[Any], list[Record]]


@contextmanager
def worker(shop: Shop, events: int, answer: Answer) -> Iterator[None]:
    """A fake worker: reads ``events`` events, and writes the answer to each."""

    async def work() -> None:
        settings = shop.settings
        consumer = AIOKafkaConsumer(
            settings.events_topic,
            bootstrap_servers=settings.bootstrap,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=20,
        )
        await consumer.start()
        try:
            for _ in range(events):
                event = await asyncio.wait_for(consumer.getone(), 60)
                await write(settings.bootstrap, settings.receipts_topic, answer(event))
        finally:
            await consumer.stop()

    thread = threading.Thread(target=asyncio.run, args=(work(),))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def receipt(shop: Shop, event: Any, **changes: Any) -> Record:
    """The receipt that a worker writes for a forget event."""
    value = {
        "receipt_id": f"id-{event.partition}-{event.offset}",
        "group": shop.settings.group,
        "forgotten_at": 1_790_000_000_000,
        "forget": {"topic": event.topic, "partition": event.partition, "offset": event.offset},
        **changes,
    }
    key = b"%d-%d" % (event.partition, event.offset)
    return Record(key, json.dumps(value).encode(), event.offset % PARTITIONS)


def test_forget_event_has_user_and_time_and_goes_to_the_users_partition(shop: Shop) -> None:
    shop.create()

    result = shop.lately("forget", "ann", "käthe", "--no-wait")

    events = {event.key: event for event in shop.read(shop.settings.events_topic, 2)}
    assert result.code == 0
    places = []
    for user in ("ann", "käthe"):
        event = events[user.encode()]
        body = json.loads(event.value)
        assert (body["user_id"], body["action"]) == (user, "forget")
        assert abs(body["ts"] / 1000 - time.time()) < 600
        assert event.partition == partition_of(user.encode(), PARTITIONS)
        places.append(f"{event.partition}-{event.offset}")
    assert result.out == (
        f"user 1: sent, event {places[0]}\nuser 2: sent, event {places[1]}\n"  # without their names
    )


def test_each_user_gets_their_own_receipt(shop: Shop, tmp_path: Path) -> None:
    shop.create()
    file = tmp_path / "users"
    file.write_text("bob\nzoe\n")

    with worker(shop, 3, lambda event: [receipt(shop, event)]):
        result = shop.lately("forget", "ann", "--file", str(file), "--timeout-s", "60", "--json")

    assert result.code == 0, result.err
    events = {e.key: (e.partition, e.offset) for e in shop.read(shop.settings.events_topic, 3)}
    assert result.json["topic"] == shop.settings.events_topic
    assert result.json["forgets"] == [
        {
            "user": number,
            "partition": events[user][0],
            "offset": events[user][1],
            "receipt_id": f"id-{events[user][0]}-{events[user][1]}",
            "forgotten_at": 1_790_000_000_000,
        }
        for number, user in enumerate((b"ann", b"bob", b"zoe"), start=1)
    ]


def test_foreign_and_malformed_receipts_are_ignored(shop: Shop) -> None:
    shop.create()

    def answer(event: Any) -> list[Record]:
        place = {"partition": event.partition, "offset": event.offset}
        ours = receipt(shop, event)
        return [
            receipt(shop, event, receipt_id="of another group", group="other"),
            receipt(shop, event, receipt_id="of another topic", forget={"topic": "other", **place}),
            Record(ours.key, b"no JSON"),
            Record(ours.key, b"[]"),
            Record(ours.key, None),
            Record(b"9-99", ours.value),
            Record(None, ours.value),
            ours,
        ]

    with worker(shop, 1, answer):
        result = shop.lately("forget", "ann", "--timeout-s", "60")

    assert (result.code, result.err) == (0, "")
    (event,) = shop.read(shop.settings.events_topic, 1)
    place = f"{event.partition}-{event.offset}"
    assert result.out == f"user 1: forgotten, event {place}, receipt id-{place}\n"


def test_receipt_older_than_the_forget_event_is_ignored(shop: Shop) -> None:
    shop.create()
    # As after the events topic was recreated: offset 0 already has a receipt.
    home = partition_of(b"ann", PARTITIONS)
    old = {
        "receipt_id": "old",
        "group": shop.settings.group,
        "forgotten_at": 1,
        "forget": {"topic": shop.settings.events_topic, "partition": home, "offset": 0},
    }
    shop.write(shop.settings.receipts_topic, Record(b"%d-0" % home, json.dumps(old).encode()))

    result = shop.lately("forget", "ann", "--timeout-s", "0.3")

    assert (result.code, result.out) == (1, f"user 1: sent, event {home}-0\n")


def test_missing_receipts_are_counted_without_naming_users(shop: Shop) -> None:
    shop.create()

    def answer(event: Any) -> list[Record]:
        return [receipt(shop, event)] if event.key == b"ann" else []

    with worker(shop, 3, answer):
        result = shop.lately("forget", "ann", "bob", "zoe", "--timeout-s", "3")

    assert result.code == 1
    assert [line.split(",")[0] for line in result.out.splitlines()] == [
        "user 1: forgotten",
        "user 2: sent",
        "user 3: sent",
    ]
    assert result.err.count("\n") == 1
    assert "2 of 3 receipts did not come within 3 s, the first for user 2" in result.err
    assert not [name for name in ("ann", "bob", "zoe") if name in result.err + result.out]


def test_users_are_numbered_consecutively_across_batches(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    users = [f"u{number}" for number in range(2_001)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(users)))

    result = shop.lately("forget", "--file", "-", "--no-wait", "--json")

    forgets = result.json["forgets"]
    assert [forget["user"] for forget in forgets] == list(range(1, 2_002))
    sent = shop.read(shop.settings.events_topic, 2_001)
    keys = {(event.partition, event.offset): event.key.decode() for event in sent}
    assert [keys[forget["partition"], forget["offset"]] for forget in forgets] == users


def test_nothing_is_sent_without_a_receipts_topic(shop: Shop) -> None:
    shop.create(shop.settings.events_topic)

    result = shop.lately("forget", "ann")

    assert (result.code, result.out) == (1, "")
    assert "--receipts-topic" in result.err
    shop.write(shop.settings.events_topic, Record(None, b"the first"))
    assert [r.value for r in shop.read(shop.settings.events_topic, 1)] == [b"the first"]


def test_rejected_forget_event_is_not_reported_as_sent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()

    async def refuse(*arguments: Any, **options: Any) -> "asyncio.Future[Any]":
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(MessageSizeTooLargeError("too large"))
        return refused

    monkeypatch.setattr(AIOKafkaProducer, "send", refuse)

    result = shop.lately("forget", "ann", "--no-wait")

    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert "too large" in result.err and "ann" not in result.err
