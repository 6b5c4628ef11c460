"""The commands `lately dead`: count dead letters, show one, replay them."""

import asyncio
import heapq
import json
import sys
import time
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from stream.errors import LatelyError, SettingsError
from stream.kafka.command_clients import TIMEOUT_S, TopicReader, open_producer, open_reader
from stream.kafka.dead_letters import EXCEPTION, MESSAGE, OFFSET, Letter, Location, printable_bytes
from stream.kafka.producer import Publisher, await_acks
from stream.metrics import REASONS
from stream.settings import KafkaSettings, WorkerSettings

_FLAG = "--dead-topic"
_PROGRESS_EVERY_S = 1.0


class Newest:
    """Counts letters by reason, and keeps the newest ``limit`` of them."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[int, Location, str, int]] = []
        self.reasons: Counter[str] = Counter()

    def add(self, letter: Letter) -> None:
        """Count a letter."""
        self.reasons[letter.reason] += 1
        entry = (letter.timestamp_ms, letter.location, letter.reason, letter.size_bytes)
        if len(self._heap) < self._limit:
            heapq.heappush(self._heap, entry)
        elif self._limit:
            heapq.heappushpop(self._heap, entry)

    def rows(self, now_ms: int) -> list[dict[str, Any]]:
        """The newest, newest first."""
        return [
            {
                "partition": location.partition,
                "offset": location.offset,
                "reason": reason,
                "age_s": max(0, now_ms - at_ms) // 1000,
                "size_bytes": size_bytes,
            }
            for at_ms, location, reason, size_bytes in sorted(self._heap, reverse=True)
        ]


def list_letters(
    settings: KafkaSettings, *, reason: str | None = None, limit: int = 10, as_json: bool = False
) -> None:
    """Print the number of letters by reason, and the newest, without their content.

    Raises SettingsError, TopicsError, BrokerError.
    """
    _check_reason(reason)
    newest = asyncio.run(_count(settings, reason, limit))
    rows = newest.rows(time.time_ns() // 1_000_000)
    if as_json:
        result = {
            "topic": settings.dead_topic,
            "letters": newest.reasons.total(),
            "reasons": dict(newest.reasons.most_common()),
            "newest": rows,
        }
        print(json.dumps(result))
        return
    print(f"{newest.reasons.total():,} dead letters in {settings.dead_topic}")
    for name, n in newest.reasons.most_common():
        print(f"  {n:>12,}  {name}")
    if rows:
        print(f"\n{'newest':<18} {'reason':<16} {'age':>10} {'bytes':>10}")
    for row in rows:
        location = f"{row['partition']}:{row['offset']}"
        size = f"{row['size_bytes']:,}"
        print(f"{location:<18} {row['reason']:<16} {_age(row['age_s']):>10} {size:>10}")


async def _count(settings: KafkaSettings, reason: str | None, limit: int) -> Newest:
    newest = Newest(limit)
    async with open_reader(settings, settings.dead_topic, _FLAG) as reader:
        async for letters in _letters(reader, "read"):
            for letter in letters:
                if reason in (None, letter.reason):
                    newest.add(letter)
    return newest


def show_letter(settings: KafkaSettings, location: str, *, as_json: bool = False) -> None:
    """Print a whole letter: why it is dead, headers, key and value; other than text is escaped.

    Raises SettingsError for a malformed location, LatelyError if it has no letter, TopicsError and
    BrokerError.
    """
    letter = asyncio.run(_read_letter(settings, Location.parse(location)))
    if as_json:
        print(json.dumps(_as_json(letter)))
        return
    topic, partition = letter.source
    if letter.is_ours:
        print(f"reason     {letter.reason}")
        print(f"because    {printable_bytes(letter.header(MESSAGE).encode())}")
        print(f"exception  {printable_bytes(letter.header(EXCEPTION).encode())}")
        print(f"came from  {topic} {partition}:{letter.header(OFFSET)}")
    else:
        print("reason     none: no worker wrote this record")
    for name, value in letter.headers:
        print(f"header     {printable_bytes(name.encode())}: {printable_bytes(value)}")
    print(f"key        {printable_bytes(letter.key)}")
    print(f"value      {printable_bytes(letter.value)}")


async def _read_letter(settings: KafkaSettings, location: Location) -> Letter:
    async with open_reader(settings, settings.dead_topic, _FLAG) as reader:
        return await _letter_at(reader, settings, location)


async def _letter_at(reader: TopicReader, settings: KafkaSettings, location: Location) -> Letter:
    record = await reader.record_at(*location)
    if record is None:
        raise LatelyError(
            f"{settings.dead_topic}: there is no letter at {location}; "
            "`lately dead list` shows where the newest are"
        )
    return Letter(record)


def _as_json(letter: Letter) -> dict[str, Any]:
    topic, partition = letter.source
    return {
        "partition": letter.location.partition,
        "offset": letter.location.offset,
        "timestamp_ms": letter.timestamp_ms,
        "reason": letter.reason,
        "source": {"topic": topic, "partition": partition, "offset": letter.header(OFFSET)}
        if letter.is_ours
        else None,
        "headers": [[name, _text_or_base64(value)] for name, value in letter.headers],
        "key": _text_or_base64(letter.key),
        "value": _text_or_base64(letter.value),
    }


def _text_or_base64(value: bytes | None) -> str | dict[str, str] | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"base64": b64encode(value).decode()}


class Replay:
    """Sends letters back to their source partitions, and counts them."""

    def __init__(
        self, settings: KafkaSettings, producer: AIOKafkaProducer, partitions: int, dry_run: bool
    ) -> None:
        self._topic = settings.events_topic
        self._publisher = Publisher(producer)
        self._partitions = partitions
        self._dry_run = dry_run
        self.replayed: Counter[str] = Counter()  # by reason
        self.skipped = 0  # not written by a worker, or not from this events topic
        self.oldest_ms: int | None = None  # when the oldest of the replayed was set aside

    async def send(self, letters: Iterable[Letter]) -> None:
        """Send these letters, and wait until the broker acknowledges them."""
        by_partition: dict[int, list[Letter]] = {}
        for letter in letters:
            topic, partition = letter.source
            if letter.is_ours and topic == self._topic and 0 <= partition < self._partitions:
                by_partition.setdefault(partition, []).append(letter)
                self.replayed[letter.reason] += 1
                known_ms = letter.timestamp_ms if self.oldest_ms is None else self.oldest_ms
                self.oldest_ms = min(known_ms, letter.timestamp_ms)
            else:
                self.skipped += 1
        if self._dry_run:
            return
        for partition, its_letters in by_partition.items():
            records = [letter.message() for letter in its_letters]
            async with asyncio.timeout(TIMEOUT_S):
                deliveries = await self._publisher.send(self._topic, partition, records)
                await await_acks(self._topic, deliveries)


def replay_letters(
    settings: KafkaSettings,
    locations: Sequence[str],
    *,
    reason: str | None = None,
    everything: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Send the original messages of letters back to the events topic, and print a summary.

    Of the letters at ``locations``, of those with ``reason``, or of all (``everything``). Raises
    SettingsError unless exactly one of these is given, LatelyError for a location without a letter,
    DeliveryError, TopicsError and BrokerError.
    """
    if (bool(locations), reason is not None, everything).count(True) != 1:
        raise SettingsError("which letters? Give PARTITION:OFFSET of each, or --reason, or --all")
    _check_reason(reason)
    parsed = [Location.parse(location) for location in locations]
    done = asyncio.run(_replay(settings, parsed, reason, dry_run))
    if hint := hint_if_old(done.oldest_ms, time.time_ns() // 1_000_000):
        print(hint, file=sys.stderr, flush=True)
    if as_json:
        result = {
            "topic": settings.events_topic,
            "replayed": done.replayed.total(),
            "reasons": dict(done.replayed.most_common()),
            "skipped": done.skipped,
            "dry_run": dry_run,
        }
        print(json.dumps(result))
        return
    verb = "would replay" if dry_run else "replayed"
    which = ", ".join(f"{n:,} {name}" for name, n in done.replayed.most_common())
    print(
        f"{verb} {done.replayed.total():,} letters into {settings.events_topic}"
        + (f": {which}" if which else "")
    )
    if done.skipped:
        print(f"skipped {done.skipped:,} that are not from {settings.events_topic}")


def hint_if_old(oldest_ms: int | None, now_ms: int) -> str:
    """What a worker does with the events of old letters; empty for recent letters, and for none."""
    allowed_ms = WorkerSettings.model_fields["allowed_lateness_ms"].default
    if oldest_ms is None or now_ms - oldest_ms <= allowed_ms:
        return ""
    return (
        f"the oldest of these letters is of {_age((now_ms - oldest_ms) // 1000)} ago: where a user "
        "has newer events in a worker, it counts such an event as late, and does not add it, "
        "unless its --allowed-lateness-ms is larger than that"
    )


async def _replay(
    settings: KafkaSettings, locations: Sequence[Location], reason: str | None, dry_run: bool
) -> Replay:
    async with (
        open_reader(settings, settings.dead_topic, _FLAG) as reader,
        open_producer(settings) as producer,
    ):
        partitions = len(await producer.partitions_for(settings.events_topic))
        done = Replay(settings, producer, partitions, dry_run)
        if locations:
            # All are read before the first is sent: a wrong location sends nothing.
            unique = dict.fromkeys(locations)
            await done.send([await _letter_at(reader, settings, each) for each in unique])
            return done
        async for letters in _letters(reader, "checked"):
            await done.send(letter for letter in letters if reason in (None, letter.reason))
        return done


async def _letters(reader: TopicReader, verb: str) -> AsyncIterator[list[Letter]]:
    """Every letter up to the current end of the topic, in batches."""
    report, seen = _progress(verb), 0
    async for records in reader.read_to_end():
        yield [Letter(record) for record in records]
        seen += len(records)
        report(seen)


def _progress(verb: str) -> Callable[[int], None]:
    """A function that prints the count to a terminal, at most once in ``_PROGRESS_EVERY_S``."""
    if not sys.stderr.isatty():
        return lambda _seen: None
    next_s = time.monotonic() + _PROGRESS_EVERY_S

    def report(seen: int) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + _PROGRESS_EVERY_S
            print(f"{verb} {seen:,} letters", file=sys.stderr, flush=True)

    return report


def _check_reason(reason: str | None) -> None:
    if reason is not None and reason not in REASONS:
        raise SettingsError(f"--reason: {reason!r} is none of {', '.join(REASONS)}; choose one")


def _age(age_s: int) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= length_s:
            return f"{age_s // length_s} {unit}"
    return f"{age_s} s"
