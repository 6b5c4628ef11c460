"""The reader: one user's sequence outside of a worker, as a worker would have it.

From a file of events, folded by the same rules, or from what a worker has on its disk.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.sequence import Sequence as Actions
from stream.commands.event_log import EventLog, EventLogError
from stream.errors import StateError
from stream.events import Message, Validator
from stream.settings import WorkerSettings
from stream.storage.store import view
from stream.user_state import UserState


@dataclass(slots=True)
class _Line:
    """A line of a file in the place of a Kafka record, stamped with its own event time."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class _AnyName(frozenset[str]):
    """Holds every action there may be: which of them count, the model knows."""

    def __contains__(self, name: object) -> bool:
        return True


def read_sequence(source: str, state_dir: Path | None) -> Actions:
    """The sequence of the user ``source`` in a state directory, or of the file it names.

    Raises LatelyError if there is none.
    """
    return read_file(Path(source)) if state_dir is None else read_user(state_dir, source)


def read_file(path: Path) -> Actions:
    """Fold a log of one user by a worker's rules; whatever its actions are called.

    Raises EventLogError for a log of several users, or an event that breaks the contract.
    """
    entries = list(EventLog.open([path]).entries())
    users = {entry.user_id for entry in entries}
    if len(users) > 1:
        raise EventLogError(
            f"{path}: has events of {len(users)} users, {min(users)} and {max(users)} among them; "
            "leave those of one"
        )
    settings = WorkerSettings.load(artifact=".", state_dir=".")
    messages: list[Message] = [
        _Line(place, entry.ts_ms, entry.user_id.encode(), entry.value)
        for place, entry in enumerate(entries)
    ]
    validator = Validator(_AnyName(), settings.max_message_bytes, lambda _: 0)
    events, dead = validator.validate(messages, 0)
    if dead:
        raise EventLogError(f"{path}: event {dead[0].message.offset + 1}: {dead[0].text}; mend it")
    state = UserState()
    for event in events:
        state.apply(event, settings.rules)
    return state.sequence()


def read_user(state_dir: Path, user: str) -> Actions:
    """What a worker's state directory holds of a user, in whichever group and partition.

    Raises StateError if it holds nothing, or something in more groups than one.
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
