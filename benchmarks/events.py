"""The synthetic log that the engines read: events in the wire contract, and their producer."""

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import murmur2

START_MS = 1_790_000_000_000
Users = Literal["round robin", "zipf"]
Record = tuple[bytes, bytes]


ITEMS = tuple(f"item-{number:05d}" for number in range(50_000))


def make(
    count: int,
    users: int,
    shape: Users = "round robin",
    seed: int = 0,
    items: Sequence[str] = ITEMS,
) -> list[Record]:
    """Keys and values, ten milliseconds of event time apart.

    Round robin: no user repeats before all others have had an event, so scores are never merged.
    Zipf: the first users have far more events (exponent 1.1), as in a real shop.
    """
    rng = random.Random(seed)
    order = _zipf(users, rng) if shape == "zipf" else _round_robin(users)
    return [_event(number, next(order), items, rng) for number in range(count)]


def _round_robin(users: int) -> Iterator[int]:
    while True:
        yield from range(users)


def _zipf(users: int, rng: random.Random) -> Iterator[int]:
    shares = list(accumulate(1 / rank**1.1 for rank in range(1, users + 1)))
    while True:
        yield bisect(shares, rng.random() * shares[-1])


def _event(number: int, user: int, items: Sequence[str], rng: random.Random) -> Record:
    user_id = f"user-{user:07d}"
    event = {
        "event_id": f"e-{number:09d}",
        "user_id": user_id,
        "item_id": items[rng.randrange(len(items))],
        "action": "click" if rng.random() < 0.9 else "cart",
        "ts": START_MS + number * 10,
    }
    return user_id.encode(), orjson.dumps(event)


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key by Kafka's default partitioner."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


async def write(
    bootstrap: str, topic: str, records: list[Record], partitions: int, first: int = 0
) -> None:
    """Write the records in batches of the maximum size and wait until the broker has them.

    ``first`` is the number of the first in the log: a record's time is that of its event.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_batch_size=512 * 1024, linger_ms=20
    )
    await producer.start()
    try:
        batches = [producer.create_batch() for _ in range(partitions)]
        sent = []
        for number, (key, value) in enumerate(records, first):
            at = partition_of(key, partitions)
            while not batches[at].append(key=key, value=value, timestamp=START_MS + number * 10):
                sent.append(await producer.send_batch(batches[at], topic, partition=at))
                batches[at] = producer.create_batch()
        for at, batch in enumerate(batches):
            if batch.record_count():
                sent.append(await producer.send_batch(batch, topic, partition=at))
        for delivered in sent:
            await delivered
    finally:
        await producer.stop()
