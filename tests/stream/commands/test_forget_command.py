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
                if records := answer(event):
                    await write(settings.bootstrap, settings.receipts_topic, records)
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


def test_forget_event_has_user_and_time_and_goes_to_every_partition(shop: Shop) -> None:
    shop.create()

    result = shop.lately("forget", "ann", "käthe", "--no-wait")

    events = shop.read(shop.settings.events_topic, 2 * PARTITIONS)
    assert result.code == 0
    lines = []
    for number, user in enumerate(("ann", "käthe"), start=1):
        theirs = {event.partition: event for event in events if event.key == user.encode()}
        assert sorted(theirs) == list(range(PARTITIONS))
        for event in theirs.values():
            body = json.loads(event.value)
            assert (body["user_id"], body["action"]) == (user, "forget")
            assert abs(body["ts"] / 1000 - time.time()) < 600
        home = partition_of(user.encode(), PARTITIONS)
        lines.append(f"user {number}: sent, event {home}-{theirs[home].offset} and 2 more\n")
    assert result.out == "".join(lines)  # without their names


def test_each_user_gets_their_own_receipt(shop: Shop, tmp_path: Path) -> None:
    shop.create()
    file = tmp_path / "users"
    file.write_text("bob\nzoe\n")

    def answer(event: Any) -> list[Record]:
        return [receipt(shop, event, removed=event.partition == 2)]

    with worker(shop, 3 * PARTITIONS, answer):
        result = shop.lately("forget", "ann", "--file", str(file), "--timeout-s", "60", "--json")

    assert result.code == 0, result.err
    events = shop.read(shop.settings.events_topic, 3 * PARTITIONS)
    offsets = {(event.key, event.partition): event.offset for event in events}

    def said(user: bytes, partition: int) -> dict[str, Any]:
        offset = offsets[user, partition]
        return {
            "partition": partition,
            "offset": offset,
            "receipt_id": f"id-{partition}-{offset}",
            "forgotten_at": 1_790_000_000_000,
            "removed": partition == 2,
        }

    assert result.json["topic"] == shop.settings.events_topic
    for number, (user, found) in enumerate(
        zip((b"ann", b"bob", b"zoe"), result.json["forgets"], strict=True), start=1
    ):
        home = partition_of(user, PARTITIONS)
        others = [said(user, partition) for partition in range(PARTITIONS) if partition != home]
        assert found == {"user": number, **said(user, home), "others": others}


def test_a_user_whom_another_partitioner_placed_is_forgotten_where_they_are(shop: Shop) -> None:
    shop.create()
    home = partition_of(b"ann", PARTITIONS)
    elsewhere = (home + 1) % PARTITIONS

    def answer(event: Any) -> list[Record]:
        return [receipt(shop, event, removed=event.partition == elsewhere)]

    with worker(shop, PARTITIONS, answer):
        result = shop.lately("forget", "ann", "--timeout-s", "60")

    place = f"{home}-0"
    assert result.out == (
        f"user 1: forgotten, event {place}, receipt id-{place}, "
        f"removed from partition {elsewhere}\n"
    )


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

    with worker(shop, PARTITIONS, answer):
        result = shop.lately("forget", "ann", "--timeout-s", "60")

    assert (result.code, result.err) == (0, "")
    place = f"{partition_of(b'ann', PARTITIONS)}-0"
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

    assert (result.code, result.out) == (1, f"user 1: sent, event {home}-0 and 2 more\n")


def test_missing_receipts_are_counted_without_naming_users(shop: Shop) -> None:
    shop.create()

    def answer(event: Any) -> list[Record]:
        return [receipt(shop, event)] if event.key == b"ann" else []

    with worker(shop, 3 * PARTITIONS, answer):
        result = shop.lately("forget", "ann", "bob", "zoe", "--timeout-s", "8")

    assert result.code == 1
    assert [line.split(",")[0] for line in result.out.splitlines()] == [
        "user 1: forgotten",
        "user 2: sent",
        "user 3: sent",
    ]
    assert result.err.count("\n") == 1
    assert "6 of 9 receipts did not come within 8 s, the first for user 2" in result.err
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
    sent = shop.read(shop.settings.events_topic, 2_001 * PARTITIONS)
    keys = {(event.partition, event.offset): event.key.decode() for event in sent}
    for user, forget in zip(users, forgets, strict=True):
        events = [forget, *forget["others"]]
        assert {keys[event["partition"], event["offset"]] for event in events} == {user}
        assert sorted(event["partition"] for event in events) == list(range(PARTITIONS))


def test_standard_input_of_windows_names_the_user_without_its_byte_order_mark(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbfann\r\nbob\r\n")))

    assert shop.lately("forget", "--file", "-", "--no-wait").code == 0

    events = shop.read(shop.settings.events_topic, 2 * PARTITIONS)
    assert {event.key for event in events} == {b"ann", b"bob"}


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
