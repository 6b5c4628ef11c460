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
class Wish:
    """One user to forget, who goes by their place among those asked for, from 1."""

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
        """What became of it, for people."""
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
    """Send a forget event for each user, those of the file last, and print what became of each.

    No line names a user. Raises SettingsError for ids that cannot be; LatelyError when a receipt
    does not come in time, after all that came are printed; TopicsError and BrokerError.
    """
    wanted = list(users) + ([] if file is None else list(_read(file)))
    _check(wanted)
    wishes = asyncio.run(_forget(settings, wanted, timeout_s if wait else None))
    if as_json:
        topic = settings.events_topic
        print(json.dumps({"topic": topic, "forgets": [asdict(wish) for wish in wishes]}))
    else:
        print("\n".join(wish.line() for wish in wishes))
    missing = [wish for wish in wishes if wish.receipt_id is None]
    if wait and missing:
        raise LatelyError(
            f"{len(missing)} of {len(wishes)} receipts did not come within {timeout_s:g} s, the "
            f"first for user {missing[0].user}; the events are in {settings.events_topic} and will "
            "be obeyed: see that a worker of this --group runs and is not far behind"
        )


def _read(file: Path) -> Iterator[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"--file: cannot read {file} ({error.strerror}); name a file with one user id a line"
        ) from error
    except UnicodeDecodeError:
        raise SettingsError(f"--file: {file} is not UTF-8; write it again as UTF-8") from None
    return (line for line in text.split("\n") if line)


def _check(users: Sequence[str]) -> None:
    if not users:
        raise SettingsError("no user is given; name them, or give --file with one id a line")
    for place, user in enumerate(users, start=1):
        try:
            user.encode()
        except UnicodeEncodeError:
            raise SettingsError(f"user {place}: the id is not UTF-8; give it as text") from None
        if not 1 <= len(user) <= MAX_ID_LENGTH:
            raise SettingsError(
                f"user {place}: the id has {len(user)} characters, not 1 to {MAX_ID_LENGTH}; "
                "give the id as events have it"
            )


async def _forget(
    settings: KafkaSettings, users: Sequence[str], timeout_s: float | None
) -> list[Wish]:
    async with open_producer(settings) as producer:
        if timeout_s is None:
            return await _send(producer, settings.events_topic, users)
        topic = settings.receipts_topic
        async with open_reader(settings, topic, "--receipts-topic") as reader:
            await reader.seek_to_end()  # before the events: a receipt may be there at once
            wishes = await _send(producer, settings.events_topic, users)
            await _collect(reader, settings, wishes, timeout_s)
            return wishes


async def _send(producer: AIOKafkaProducer, topic: str, users: Sequence[str]) -> list[Wish]:
    """Send the events and wait for the broker to have them; keyed, so murmur2 says where to."""
    wishes: list[Wish] = []
    for start in range(0, len(users), _IN_FLIGHT):
        sent = [
            await producer.send(topic, key=user.encode(), value=_event(user))
            for user in users[start : start + _IN_FLIGHT]
        ]
        async with asyncio.timeout(TIMEOUT_S):
            for place in await asyncio.gather(*sent):
                wishes.append(Wish(len(wishes) + 1, place.partition, place.offset))
    return wishes


def _event(user: str) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return orjson.dumps({"user_id": user, "action": FORGET, "ts": now_ms})


async def _collect(
    reader: TopicReader, settings: KafkaSettings, wishes: Sequence[Wish], timeout_s: float
) -> None:
    waiting = {wish.key: wish for wish in wishes}
    deadline_s = time.monotonic() + timeout_s
    while waiting and (left_s := deadline_s - time.monotonic()) > 0:
        for record in await reader.poll(min(left_s, 0.5)):
            wish = waiting.get(record.key)
            receipt = _receipt(record.value)
            if wish is not None and _is_ours(receipt, settings):
                wish.receipt_id = receipt["receipt_id"]
                wish.forgotten_at = receipt["forgotten_at"]
                del waiting[record.key]


def _receipt(value: bytes | None) -> dict[str, Any]:
    try:
        receipt = orjson.loads(value or b"")
    except ValueError:
        return {}
    return receipt if isinstance(receipt, dict) else {}


def _is_ours(receipt: dict[str, Any], settings: KafkaSettings) -> bool:
    """Whether it is of our group and topic: the same place may stand in others."""
    forgotten = receipt.get("forget", {})
    return receipt.get("group") == settings.group and forgotten.get("topic") == (
        settings.events_topic
    )
