"""One user's sequence outside of a worker: from a file of events, a state directory, or Kafka.

The events of a file are applied by the rules of a worker.
"""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.sequence import Sequence as Actions
from stream.commands.event_log import EventLogError, ReplayLog
from stream.errors import StateError
from stream.events import Message, Validator
from stream.kafka.command_clients import open_reader
from stream.settings import FoldSettings, KafkaSettings
from stream.sources import ENV_PREFIX
from stream.storage.view import view
from stream.user_state import UserState


@dataclass(slots=True)
class _FileMessage:
    """An event of a file as a Kafka record, whose timestamp is the event time."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class _AnyAction(frozenset[str]):
    """Contains every action name; the model knows which of them count."""

    def __contains__(self, name: object) -> bool:
        return True


def read_sequence(source: str, state_dir: Path | None, *, is_user: bool = False) -> Actions:
    """The sequence of the user ``source`` in a state directory or, without one, of that file.

    A user without a directory is read from that of ``LATELY_STATE_DIR`` or, without that, from
    the changelog. Raises LatelyError if there is none.
    """
    if state_dir is None and is_user and (named := os.environ.get(f"{ENV_PREFIX}STATE_DIR")):
        state_dir = Path(named)
    if state_dir is not None:
        return read_user(state_dir, source)
    if is_user:
        return asyncio.run(read_changelog(KafkaSettings.load(), source))
    return read_file(Path(source))


def read_file(path: Path) -> Actions:
    """Apply the events of one user by a worker's rules, whatever their actions.

    Raises EventLogError for a log of several users, or an event that breaks the wire contract.
    """
    entries = list(ReplayLog.open([path]).entries())
    users = {entry.user_id for entry in entries}
    if len(users) > 1:
        raise EventLogError(
            f"{path}: has events of {len(users)} users, {min(users)} and {max(users)} among them; "
            "keep those of one"
        )
    settings = FoldSettings.load()
    messages: list[Message] = [
        _FileMessage(offset, entry.ts_ms, entry.user_id.encode(), entry.value)
        for offset, entry in enumerate(entries)
    ]
    validator = Validator(_AnyAction(), settings.max_message_bytes, lambda _: 0)
    events, dead = validator.validate(messages, 0)
    if dead:
        raise EventLogError(f"{path}: event {dead[0].message.offset + 1}: {dead[0].text}; fix it")
    state = UserState()
    for event in events:
        state.apply(event, settings.rules)
    return state.sequence()


def read_user(state_dir: Path, user: str) -> Actions:
    """A user's sequence in a worker's state directory, in any group and partition.

    Raises StateError if the user is in none, or was forgotten, or is in more than one.
    """
    found = dict(_states(state_dir, key_of(user)))
    if not found:
        raise StateError(
            f"{state_dir}: holds no user {user!r}; name the --state-dir of a worker that "
            "has them, or the user is new or forgotten"
        )
    if len(found) > 1:
        first, second = sorted(found)[:2]
        raise StateError(
            f"{state_dir}: user {user!r} is in {first} and in {second}; name a --state-dir with "
            "the state of one group"
        )
    (state,) = found.values()
    return state.sequence()


async def read_changelog(settings: KafkaSettings, user: str) -> Actions:
    """A user's newest sequence in the changelog, which is read as a whole.

    Raises StateError if the user is not in it, BrokerError or TopicsError if it cannot be read.
    """
    key, values = key_of(user), dict[int, bytes | None]()
    async with open_reader(settings, settings.changelog_topic, "--group") as reader:
        async for records in reader.read_to_end():
            values |= {record.partition: record.value for record in records if record.key == key}
    states = [UserState.from_bytes(value) for value in values.values() if value is not None]
    found = [state.sequence() for state in states if not state.forgotten]
    if not found:
        raise StateError(
            f"{settings.changelog_topic} at {settings.bootstrap}: holds no user {user!r}; set "
            "LATELY_GROUP to that of the worker, or the user is new or forgotten"
        )
    return max(found, key=lambda sequence: sequence.now_ms)


def key_of(user: str) -> bytes:
    """The Kafka key of a user as the command line gives it, whatever bytes were typed."""
    return user.encode(errors="surrogateescape")


def _states(state_dir: Path, key: bytes) -> Iterator[tuple[str, UserState]]:
    for partition in sorted(state_dir.glob("*/partition-*")):
        with view(partition) as stored:
            value = stored.get(key)
        if value is None:
            continue
        state = UserState.from_bytes(value)
        if not state.forgotten:
            yield str(partition.relative_to(state_dir)), state
