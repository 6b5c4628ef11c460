"""`lately forget` on a broker: what is sent, and which receipts count."""

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

# Of an event that was read: the records that a worker writes to the receipts topic.
Answer = Callable[[Any], list[Record]]


@contextmanager
def worker(shop: Shop, events: int, answer: Answer) -> Iterator[None]:
    """Stands in for a worker: reads so many events, and answers each as it is told to."""

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
    """What a worker of this shop writes when it has forgotten the user of an event."""
    value = {
        "receipt_id": f"id-{event.partition}-{event.offset}",
        "group": shop.settings.group,
        "forgotten_at": 1_790_000_000_000,
        "forget": {"topic": event.topic, "partition": event.partition, "offset": event.offset},
        **changes,
    }
    key = b"%d-%d" % (event.partition, event.offset)
    return Record(key, json.dumps(value).encode(), event.offset % PARTITIONS)


def test_a_forget_event_says_who_and_when_and_lies_where_the_users_events_do(shop: Shop) -> None:
    shop.create()

    said = shop.lately("forget", "ann", "käthe", "--no-wait")

    events = {event.key: event for event in shop.read(shop.settings.events_topic, 2)}
    assert said.code == 0
    places = []
    for user in ("ann", "käthe"):
        event = events[user.encode()]
        body = json.loads(event.value)
        assert (body["user_id"], body["action"]) == (user, "forget")
        assert abs(body["ts"] / 1000 - time.time()) < 600
        assert event.partition == partition_of(user.encode(), PARTITIONS)
        places.append(f"{event.partition}-{event.offset}")
    assert said.out == (
        f"user 1: sent, event {places[0]}\nuser 2: sent, event {places[1]}\n"  # and no name
    )


def test_each_user_has_a_receipt_of_their_own(shop: Shop, tmp_path: Path) -> None:
    shop.create()
    file = tmp_path / "users"
    file.write_text("bob\nzoe\n")

    with worker(shop, 3, lambda event: [receipt(shop, event)]):
        said = shop.lately("forget", "ann", "--file", str(file), "--timeout-s", "60", "--json")

    assert said.code == 0, said.err
    events = {e.key: (e.partition, e.offset) for e in shop.read(shop.settings.events_topic, 3)}
    assert said.json["topic"] == shop.settings.events_topic
    assert said.json["forgets"] == [
        {
            "user": number,
            "partition": events[user][0],
            "offset": events[user][1],
            "receipt_id": f"id-{events[user][0]}-{events[user][1]}",
            "forgotten_at": 1_790_000_000_000,
        }
        for number, user in enumerate((b"ann", b"bob", b"zoe"), start=1)
    ]


def test_what_is_no_receipt_of_ours_does_not_count(shop: Shop) -> None:
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
        said = shop.lately("forget", "ann", "--timeout-s", "60")

    assert (said.code, said.err) == (0, "")
    (event,) = shop.read(shop.settings.events_topic, 1)
    place = f"{event.partition}-{event.offset}"
    assert said.out == f"user 1: forgotten, event {place}, receipt id-{place}\n"


def test_a_receipt_of_an_earlier_wish_is_not_taken_for_one_of_this(shop: Shop) -> None:
    shop.create()
    # As if the events topic had been made anew: the place of the first event had a receipt before.
    home = partition_of(b"ann", PARTITIONS)
    old = {
        "receipt_id": "old",
        "group": shop.settings.group,
        "forgotten_at": 1,
        "forget": {"topic": shop.settings.events_topic, "partition": home, "offset": 0},
    }
    shop.write(shop.settings.receipts_topic, Record(b"%d-0" % home, json.dumps(old).encode()))

    said = shop.lately("forget", "ann", "--timeout-s", "0.3")

    assert (said.code, said.out) == (1, f"user 1: sent, event {home}-0\n")


def test_who_has_no_receipt_in_time_is_counted_and_none_is_named(shop: Shop) -> None:
    shop.create()

    def answer(event: Any) -> list[Record]:
        return [receipt(shop, event)] if event.key == b"ann" else []

    with worker(shop, 3, answer):
        said = shop.lately("forget", "ann", "bob", "zoe", "--timeout-s", "3")

    assert said.code == 1
    assert [line.split(",")[0] for line in said.out.splitlines()] == [
        "user 1: forgotten",
        "user 2: sent",
        "user 3: sent",
    ]
    assert said.err.count("\n") == 1
    assert "2 of 3 receipts did not come within 3 s, the first for user 2" in said.err
    assert not [name for name in ("ann", "bob", "zoe") if name in said.err + said.out]


def test_more_users_than_are_sent_at_a_time_are_numbered_through(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    users = [f"u{number}" for number in range(2_001)]
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(users)))

    said = shop.lately("forget", "--file", "-", "--no-wait", "--json")

    forgets = said.json["forgets"]
    assert [wish["user"] for wish in forgets] == list(range(1, 2_002))
    sent = shop.read(shop.settings.events_topic, 2_001)
    keys = {(event.partition, event.offset): event.key.decode() for event in sent}
    assert [keys[wish["partition"], wish["offset"]] for wish in forgets] == users


def test_without_a_topic_of_receipts_nothing_is_sent(shop: Shop) -> None:
    shop.create(shop.settings.events_topic)

    said = shop.lately("forget", "ann")

    assert (said.code, said.out) == (1, "")
    assert "--receipts-topic" in said.err
    shop.write(shop.settings.events_topic, Record(None, b"the first"))
    assert [r.value for r in shop.read(shop.settings.events_topic, 1)] == [b"the first"]


def test_an_event_that_the_broker_does_not_take_is_not_said_to_be_sent(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()

    async def refuse(*arguments: Any, **options: Any) -> "asyncio.Future[Any]":
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(MessageSizeTooLargeError("too large"))
        return refused

    monkeypatch.setattr(AIOKafkaProducer, "send", refuse)

    said = shop.lately("forget", "ann", "--no-wait")

    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "too large" in said.err and "ann" not in said.err
