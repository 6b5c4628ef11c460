"""The command `lately forget`: sends forget events, and waits for the worker's receipts."""

import asyncio
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from stream.errors import LatelyError, SettingsError
from stream.events import FORGET
from stream.kafka.command_clients import TIMEOUT_S, TopicReader, open_producer, open_reader
from stream.kafka.placement import default_partitioner
from stream.settings import KafkaSettings

MAX_ID_LENGTH = 256
_IN_FLIGHT = 1000  # events sent but not acknowledged
_BYTE_ORDER_MARK = "\ufeff"
# What a line of a file must not be, each with how to tell.
DOUBTS: dict[str, Callable[[str], bool]] = {
    "begins or ends in a blank": lambda line: line != line.strip(),
    "is in quotes": lambda line: len(line) > 1 and line[0] == line[-1] and line[0] in "\"'",
    "is JSON": lambda line: line.startswith("{"),
    "is the name of a column": lambda line: line.casefold() == "user_id",
    "holds a character that cannot be seen": lambda line: not line.isprintable(),
}


@dataclass(slots=True)
class ForgetEvent:
    """A forget event that was sent, and what its receipt says."""

    partition: int
    offset: int
    receipt_id: str | None = None
    forgotten_at: int | None = None  # wall clock of the worker, milliseconds since the epoch
    removed: bool | None = None  # whether the user had state in this partition; None: not said

    @property
    def place(self) -> str:
        """Partition and offset, which are also the key of its receipt."""
        return f"{self.partition}-{self.offset}"


@dataclass(slots=True)
class ForgetRequest:
    """The forget events of one user, whose position in the request is ``user``, from 1.

    There is one for each partition, since any may hold the user: clients differ in how they place
    a key. The first is for the partition in which Kafka's default partitioner puts the user.
    """

    user: int
    events: list[ForgetEvent]

    @property
    def missing(self) -> int:
        """How many receipts have not come."""
        return sum(event.receipt_id is None for event in self.events)

    def as_dict(self) -> dict[str, Any]:
        """The fields, for JSON: of the first event, and of the others."""
        first, *others = [asdict(event) for event in self.events]
        return {"user": self.user, **first, "others": others}

    def line(self) -> str:
        """The result for people, without the user's id."""
        event, total = f"event {self.events[0].place}", len(self.events)
        if self.missing:
            others = f" and {total - 1} more" if total > 1 else ""
            came = total - self.missing
            return f"user {self.user}: sent, {event}{others}" + (
                f"; {came} of {total} receipts came" if came else ""
            )
        receipt = f"{event}, receipt {self.events[0].receipt_id}"
        removed = [str(event.partition) for event in self.events if event.removed]
        if removed:
            return f"user {self.user}: forgotten, {receipt}, removed from {_partitions(removed)}"
        if all(event.removed is False for event in self.events):
            held = "the partition" if total == 1 else f"any of {total} partitions"
            return f"user {self.user}: not held in {held}, {receipt}"
        return f"user {self.user}: forgotten, {receipt}"


def _partitions(numbers: Sequence[str]) -> str:
    return f"partition{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"


def forget(
    settings: KafkaSettings,
    users: Sequence[str],
    file: Path | None = None,
    *,
    timeout_s: float = 30.0,
    wait: bool = True,
    as_json: bool = False,
) -> None:
    """Send forget events for each user, those of the file last, and print each result.

    No line names a user. Raises SettingsError for invalid ids; LatelyError when receipts are still
    missing after ``timeout_s``, once those that came are printed; TopicsError and BrokerError.
    """
    ids = list(users) + ([] if file is None else list(_read_ids(file)))
    _validate_ids(ids)
    requests = asyncio.run(_forget(settings, ids, timeout_s if wait else None))
    if as_json:
        topic = settings.events_topic
        print(json.dumps({"topic": topic, "forgets": [r.as_dict() for r in requests]}))
    else:
        print("\n".join(request.line() for request in requests))
    if wait and (waiting := [request for request in requests if request.missing]):
        missing = sum(request.missing for request in waiting)
        total = sum(len(request.events) for request in requests)
        raise LatelyError(
            f"{missing} of {total} receipts did not come within {timeout_s:g} s, the "
            f"first for user {waiting[0].user}; the events are in {settings.events_topic} and will "
            "be applied: see that workers of this --group run and are not lagging far"
        )


def _read_ids(file: Path) -> Iterator[str]:
    try:
        text = _read_stdin() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"--file: cannot read {file} ({error.strerror}); name a file with one user id per line"
        ) from error
    except UnicodeDecodeError:
        raise SettingsError(f"--file: {file} is not UTF-8; write it again as UTF-8") from None
    if "\0" in text:
        raise SettingsError(f"--file: {file} holds NUL, as UTF-16 does; write it again as UTF-8")
    # Windows marks the beginning of a file, and lists are put together from several files.
    lines = (line.removeprefix(_BYTE_ORDER_MARK) for line in text.split("\n"))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if doubt := _doubt(line):
            raise SettingsError(
                f"--file: line {number} of {file} {doubt}; write ids alone, one a line, or give "
                "one that is so as an argument"
            )
        yield line


def _doubt(line: str) -> str | None:
    """Why a line is hardly an id, of which nobody would be forgotten."""
    return next((doubt for doubt, is_so in DOUBTS.items() if is_so(line)), None)


def _read_stdin() -> str:
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    return sys.stdin.read()


def _validate_ids(users: Sequence[str]) -> None:
    if not users:
        raise SettingsError("no user is given; name them, or give --file with one id per line")
    for position, user in enumerate(users, start=1):
        try:
            user.encode()
        except UnicodeEncodeError:
            raise SettingsError(f"user {position}: the id is not UTF-8; give it as text") from None
        if not 1 <= len(user) <= MAX_ID_LENGTH:
            raise SettingsError(
                f"user {position}: the id has {len(user)} characters, not 1 to {MAX_ID_LENGTH}; "
                "give the id as it is in the events"
            )


async def _forget(
    settings: KafkaSettings, users: Sequence[str], timeout_s: float | None
) -> list[ForgetRequest]:
    async with open_producer(settings) as producer:
        if timeout_s is None:
            return await _send(producer, settings.events_topic, users)
        topic = settings.receipts_topic
        async with open_reader(settings, topic, "--receipts-topic") as reader:
            await reader.seek_to_end()  # before sending: a receipt may come at once
            requests = await _send(producer, settings.events_topic, users)
            await _collect(reader, settings, requests, timeout_s)
            return requests


async def _send(
    producer: AIOKafkaProducer, topic: str, users: Sequence[str]
) -> list[ForgetRequest]:
    """Send the events, keyed by user, and wait until the broker acknowledges them."""
    partitions = sorted(await producer.partitions_for(topic))
    partition_of = default_partitioner(len(partitions))
    requests: list[ForgetRequest] = []
    at_once = max(1, _IN_FLIGHT // len(partitions))
    for start in range(0, len(users), at_once):
        sent = []
        for user in users[start : start + at_once]:
            key, value = user.encode(), _event(user)
            home = partition_of(key)
            home_first = sorted(partitions, key=lambda number: number != home)
            sent += [await producer.send(topic, value, key, number) for number in home_first]
        async with asyncio.timeout(TIMEOUT_S):
            events = [ForgetEvent(m.partition, m.offset) for m in await asyncio.gather(*sent)]
        for first in range(0, len(events), len(partitions)):
            of_user = events[first : first + len(partitions)]
            requests.append(ForgetRequest(len(requests) + 1, of_user))
    return requests


def _event(user: str) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return orjson.dumps({"user_id": user, "action": FORGET, "ts": now_ms})


async def _collect(
    reader: TopicReader,
    settings: KafkaSettings,
    requests: Sequence[ForgetRequest],
    timeout_s: float,
) -> None:
    waiting = {event.place.encode(): event for request in requests for event in request.events}
    deadline_s = time.monotonic() + timeout_s
    while waiting and (left_s := deadline_s - time.monotonic()) > 0:
        for record in await reader.poll(min(left_s, 0.5)):
            event = waiting.get(record.key)
            receipt = _parse_receipt(record.value)
            if event is not None and _is_ours(receipt, settings):
                event.receipt_id = receipt["receipt_id"]
                event.forgotten_at = receipt["forgotten_at"]
                event.removed = receipt.get("removed")
                del waiting[record.key]


def _parse_receipt(value: bytes | None) -> dict[str, Any]:
    try:
        receipt = orjson.loads(value or b"")
    except ValueError:
        return {}
    return receipt if isinstance(receipt, dict) else {}


def _is_ours(receipt: dict[str, Any], settings: KafkaSettings) -> bool:
    """Whether it is of our group and topic; others may have the same partition and offset."""
    forgotten = receipt.get("forget", {})
    return receipt.get("group") == settings.group and forgotten.get("topic") == (
        settings.events_topic
    )
