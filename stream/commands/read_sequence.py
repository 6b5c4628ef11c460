"""One user's sequence outside of a worker: from a file of events, or a worker's state directory.

The events of a file are applied by the rules of a worker.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.sequence import Sequence as Actions
from stream.commands.event_log import EventLogError, ReplayLog
from stream.errors import StateError
from stream.events import Message, Validator
from stream.settings import WorkerSettings
from stream.storage.store import view
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


def read_sequence(source: str, state_dir: Path | None) -> Actions:
    """The sequence of the user ``source`` in a state directory or, without one, of that file.

    Raises LatelyError if there is none.
    """
    return read_file(Path(source)) if state_dir is None else read_user(state_dir, source)


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
    settings = WorkerSettings.load(artifact=".", state_dir=".")
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

    Raises StateError if the user is in none, or in more than one.
    """
    found = dict(_states(state_dir, user.encode()))
    if not found:
        raise StateError(
            f"{state_dir}: holds no user {user!r}; name the --state-dir of a worker that has them"
        )
    if len(found) > 1:
        first, second = sorted(found)[:2]
        raise StateError(
            f"{state_dir}: user {user!r} is in {first} and in {second}; name a --state-dir with "
            "the state of one group"
        )
    (state,) = found.values()
    return state.sequence()


def _states(state_dir: Path, key: bytes) -> Iterator[tuple[str, UserState]]:
    for partition in sorted(state_dir.glob("*/partition-*")):
        with view(partition) as stored:
            value = stored.get(key)
        if value is not None:
            yield str(partition.relative_to(state_dir)), UserState.from_bytes(value)
