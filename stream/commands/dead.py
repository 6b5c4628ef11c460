"""The commands `lately dead`: count the dead letters, look at one, send them once more."""

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
from stream.kafka.dead_letters import EXCEPTION, MESSAGE, OFFSET, Letter, Location, printable
from stream.kafka.producer import Publisher, await_acks
from stream.metrics import REASONS
from stream.settings import KafkaSettings

_FLAG = "--dead-topic"
_TELL_EVERY_S = 1.0


class Newest:
    """Counts letters by reason, and keeps the newest few."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._heap: list[tuple[int, Location, str, int]] = []
        self.reasons: Counter[str] = Counter()

    def add(self, letter: Letter) -> None:
        """Count one."""
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
                "partition": place.partition,
                "offset": place.offset,
                "reason": reason,
                "age_s": max(0, now_ms - at_ms) // 1000,
                "size_bytes": size_bytes,
            }
            for at_ms, place, reason, size_bytes in sorted(self._heap, reverse=True)
        ]


def list_letters(
    settings: KafkaSettings, *, reason: str | None = None, limit: int = 10, as_json: bool = False
) -> None:
    """Print how many letters there are of each reason, and the newest; nothing of any shopper.

    Raises SettingsError, TopicsError, BrokerError.
    """
    _check_reason(reason)
    newest = asyncio.run(_count(settings, reason, limit))
    rows = newest.rows(time.time_ns() // 1_000_000)
    if as_json:
        answer = {
            "topic": settings.dead_topic,
            "letters": newest.reasons.total(),
            "reasons": dict(newest.reasons.most_common()),
            "newest": rows,
        }
        print(json.dumps(answer))
        return
    print(f"{newest.reasons.total():,} dead letters in {settings.dead_topic}")
    for name, n in newest.reasons.most_common():
        print(f"  {n:>12,}  {name}")
    if rows:
        print(f"\n{'newest':<18} {'reason':<16} {'age':>10} {'bytes':>10}")
    for row in rows:
        place = f"{row['partition']}:{row['offset']}"
        size = f"{row['size_bytes']:,}"
        print(f"{place:<18} {row['reason']:<16} {_age(row['age_s']):>10} {size:>10}")


async def _count(settings: KafkaSettings, reason: str | None, limit: int) -> Newest:
    newest = Newest(limit)
    async with open_reader(settings, settings.dead_topic, _FLAG) as reader:
        async for letters in _letters(reader, "read"):
            for letter in letters:
                if reason in (None, letter.reason):
                    newest.add(letter)
    return newest


def show_letter(settings: KafkaSettings, place: str, *, as_json: bool = False) -> None:
    """Print one letter, all of it: why it is dead, headers, key and value, escaped where no text.

    Raises SettingsError for what is no place, LatelyError where no letter lies, and as above.
    """
    letter = asyncio.run(_one(settings, Location.parse(place)))
    if as_json:
        print(json.dumps(_as_json(letter)))
        return
    topic, partition = letter.source
    if letter.is_ours:
        print(f"reason     {letter.reason}")
        print(f"because    {printable(letter.header(MESSAGE).encode())}")
        print(f"exception  {printable(letter.header(EXCEPTION).encode())}")
        print(f"came from  {topic} {partition}:{letter.header(OFFSET)}")
    else:
        print("reason     none: no worker of ours wrote this record")
    for name, value in letter.headers:
        print(f"header     {printable(name.encode())}: {printable(value)}")
    print(f"key        {printable(letter.key)}")
    print(f"value      {printable(letter.value)}")


async def _one(settings: KafkaSettings, place: Location) -> Letter:
    async with open_reader(settings, settings.dead_topic, _FLAG) as reader:
        return await _at(reader, settings, place)


async def _at(reader: TopicReader, settings: KafkaSettings, place: Location) -> Letter:
    record = await reader.record_at(*place)
    if record is None:
        raise LatelyError(
            f"{settings.dead_topic}: no letter lies at {place}; "
            "`lately dead list` shows where the newest ones do"
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
    """Sends letters back to where they came from, and counts what became of them."""

    def __init__(
        self, settings: KafkaSettings, producer: AIOKafkaProducer, partitions: int, dry_run: bool
    ) -> None:
        self._topic = settings.events_topic
        self._publisher = Publisher(producer)
        self._partitions = partitions
        self._dry_run = dry_run
        self.replayed: Counter[str] = Counter()  # by reason
        self.skipped = 0  # no letter of ours, or not of this events topic

    async def send(self, letters: Iterable[Letter]) -> None:
        """Send these, and wait for the broker to have them."""
        by_partition: dict[int, list[Letter]] = {}
        for letter in letters:
            topic, partition = letter.source
            if letter.is_ours and topic == self._topic and 0 <= partition < self._partitions:
                by_partition.setdefault(partition, []).append(letter)
                self.replayed[letter.reason] += 1
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
    places: Sequence[str],
    *,
    reason: str | None = None,
    everything: bool = False,
    dry_run: bool = False,
    as_json: bool = False,
) -> None:
    """Send letters back into the events topic, as the messages they were, and print a summary.

    Those at ``places``, those of a reason, or all that are there now. Raises SettingsError unless
    exactly one of these is given, LatelyError for a place without a letter, DeliveryError, and as
    above.
    """
    if (bool(places), reason is not None, everything).count(True) != 1:
        raise SettingsError("which letters? Give places PARTITION:OFFSET, or --reason, or --all")
    _check_reason(reason)
    parsed = [Location.parse(place) for place in places]
    done = asyncio.run(_replay(settings, parsed, reason, dry_run))
    if as_json:
        answer = {
            "topic": settings.events_topic,
            "replayed": done.replayed.total(),
            "reasons": dict(done.replayed.most_common()),
            "skipped": done.skipped,
            "dry_run": dry_run,
        }
        print(json.dumps(answer))
        return
    did = "would replay" if dry_run else "replayed"
    which = ", ".join(f"{n:,} {name}" for name, n in done.replayed.most_common())
    print(
        f"{did} {done.replayed.total():,} letters into {settings.events_topic}"
        + (f": {which}" if which else "")
    )
    if done.skipped:
        print(f"skipped {done.skipped:,} that did not come from {settings.events_topic}")


async def _replay(
    settings: KafkaSettings, places: Sequence[Location], reason: str | None, dry_run: bool
) -> Replay:
    async with (
        open_reader(settings, settings.dead_topic, _FLAG) as reader,
        open_producer(settings) as producer,
    ):
        partitions = len(await producer.partitions_for(settings.events_topic))
        done = Replay(settings, producer, partitions, dry_run)
        if places:
            # All are looked for before the first is sent: a wrong place changes nothing.
            await done.send([await _at(reader, settings, place) for place in dict.fromkeys(places)])
            return done
        async for letters in _letters(reader, "looked at"):
            await done.send(letter for letter in letters if reason in (None, letter.reason))
        return done


async def _letters(reader: TopicReader, what: str) -> AsyncIterator[list[Letter]]:
    """Every letter that is there now, a few at a time."""
    tell, seen = _progress(what), 0
    async for records in reader.read_to_end():
        yield [Letter(record) for record in records]
        seen += len(records)
        tell(seen)


def _progress(what: str) -> Callable[[int], None]:
    """Tell somebody at a terminal how far we are, now and then."""
    if not sys.stderr.isatty():
        return lambda seen: None
    next_s = time.monotonic() + _TELL_EVERY_S

    def tell(seen: int) -> None:
        nonlocal next_s
        if time.monotonic() >= next_s:
            next_s = time.monotonic() + _TELL_EVERY_S
            print(f"{what} {seen:,} letters", file=sys.stderr, flush=True)

    return tell


def _check_reason(reason: str | None) -> None:
    if reason is not None and reason not in REASONS:
        raise SettingsError(f"--reason: {reason!r} is none of {', '.join(REASONS)}; choose one")


def _age(age_s: int) -> str:
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if age_s >= length_s:
            return f"{age_s // length_s} {unit}"
    return f"{age_s} s"
