"""The command `lately forget`: sends forget events, and waits for the worker's receipts."""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer

from stream.errors import LatelyError, SettingsError
from stream.events import FORGET
from stream.kafka.command_clients import TIMEOUT_S, TopicReader, open_producer, open_reader
from stream.settings import KafkaSettings

MAX_ID_LENGTH = 256
_IN_FLIGHT = 1000  # events sent but not acknowledged


@dataclass(slots=True)
class ForgetRequest:
    """A forget event that was sent; ``user`` is the user's position in the request, from 1."""

    user: int
    partition: int
    offset: int
    receipt_id: str | None = None
    forgotten_at: int | None = None  # wall clock of the worker, milliseconds since the epoch

    @property
    def key(self) -> bytes:
        """The key of its receipt."""
        return b"%d-%d" % (self.partition, self.offset)

    def line(self) -> str:
        """The result for people, without the user's id."""
        event = f"event {self.partition}-{self.offset}"
        if self.receipt_id is None:
            return f"user {self.user}: sent, {event}"
        return f"user {self.user}: forgotten, {event}, receipt {self.receipt_id}"


def forget(
    settings: KafkaSettings,
    users: Sequence[str],
    file: Path | None = None,
    *,
    timeout_s: float = 30.0,
    wait: bool = True,
    as_json: bool = False,
) -> None:
    """Send a forget event for each user, those of the file last, and print each result.

    No line names a user. Raises SettingsError for invalid ids; LatelyError when receipts are still
    missing after ``timeout_s``, once those that came are printed; TopicsError and BrokerError.
    """
    ids = list(users) + ([] if file is None else list(_read_ids(file)))
    _validate_ids(ids)
    requests = asyncio.run(_forget(settings, ids, timeout_s if wait else None))
    if as_json:
        topic = settings.events_topic
        print(json.dumps({"topic": topic, "forgets": [asdict(request) for request in requests]}))
    else:
        print("\n".join(request.line() for request in requests))
    missing = [request for request in requests if request.receipt_id is None]
    if wait and missing:
        raise LatelyError(
            f"{len(missing)} of {len(requests)} receipts did not come within {timeout_s:g} s, the "
            f"first for user {missing[0].user}; the events are in {settings.events_topic} and will "
            "be applied: see that a worker of this --group runs and is not lagging far"
        )


def _read_ids(file: Path) -> Iterator[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"--file: cannot read {file} ({error.strerror}); name a file with one user id per line"
        ) from error
    except UnicodeDecodeError:
        raise SettingsError(f"--file: {file} is not UTF-8; write it again as UTF-8") from None
    return (line for line in text.split("\n") if line)


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
    requests: list[ForgetRequest] = []
    for start in range(0, len(users), _IN_FLIGHT):
        sent = [
            await producer.send(topic, key=user.encode(), value=_event(user))
            for user in users[start : start + _IN_FLIGHT]
        ]
        async with asyncio.timeout(TIMEOUT_S):
            for metadata in await asyncio.gather(*sent):
                requests.append(
                    ForgetRequest(len(requests) + 1, metadata.partition, metadata.offset)
                )
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
    waiting = {request.key: request for request in requests}
    deadline_s = time.monotonic() + timeout_s
    while waiting and (left_s := deadline_s - time.monotonic()) > 0:
        for record in await reader.poll(min(left_s, 0.5)):
            request = waiting.get(record.key)
            receipt = _parse_receipt(record.value)
            if request is not None and _is_ours(receipt, settings):
                request.receipt_id = receipt["receipt_id"]
                request.forgotten_at = receipt["forgotten_at"]
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
