"""The users of a partition, as the pipeline sees them: who is in memory, who waits for a score.

Two implementations keep to these protocols: `ReferenceUsers`, in Python, is the reference;
`NativeUsers` is on the native core, and serves where it is installed.
"""

from collections.abc import Callable, Container, Iterable, Mapping
from collections.abc import Sequence as Batch
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from model.sequence import Sequence
from stream.events import DeadLetter, Message
from stream.kafka.producer import Headers, Publisher, RecordBatch
from stream.pipeline.encoding import ScoreEncoder
from stream.pipeline.users.forget import Forget
from stream.user_state import Outcome, UserState


class Position(NamedTuple):
    """Where a record lies in its partition, and its timestamp; -1 for one without."""

    offset: int
    timestamp_ms: int


class Folded(NamedTuple):
    """What became of some messages; ``waiting`` users wait now and did not before."""

    outcomes: Mapping[Outcome, int]
    waiting: int
    forgets: list[Forget]
    dead: list[DeadLetter]


class Snapshot(Protocol):
    """Users of one partition as they were when a batch closed; a row is one who is scored."""

    start: int  # the lowest source offset that it covers
    forgotten: dict[bytes, int]  # key → offset of the forget; these users have no row

    def __len__(self) -> int:
        """The number of rows."""
        ...

    @property
    def first_key(self) -> bytes | None:
        """The key of the first row, if there is one."""
        ...

    def sequences(self) -> Batch[Sequence]:
        """What the scorer gets, a sequence for each row."""
        ...

    def first_times_ms(self) -> npt.NDArray[np.int64]:
        """The timestamp of the first event that each row's score covers; -1 for none."""
        ...

    def last_message(self, row: int) -> Message:
        """The last message that this row's score covers."""
        ...

    def scores(
        self,
        publisher: Publisher,
        encoder: ScoreEncoder,
        predictions: Batch[bytes | None],
        scored_at_ms: int,
        headers: Headers,
    ) -> list[RecordBatch]:
        """The records for the scores topic, in order of the rows; none for a None."""
        ...

    def changelog(self, publisher: Publisher) -> list[RecordBatch]:
        """The records for the changelog."""
        ...

    def changes(self) -> Iterable[tuple[bytes, bytes]]:
        """Key and value of all users, for the disk."""
        ...


class Users(Protocol):
    """The users of one partition. Keys are user ids as bytes.

    A user is busy while they wait for a score, or while a batch with them is not on disk: then
    memory is ahead of the disk, and they are not evicted.
    """

    def __len__(self) -> int:
        """How many are in memory."""
        ...

    def fold(self, messages: Batch[Message]) -> Folded:
        """Validate messages in offset order and fold them in; who has news waits for a score.

        Raises StateError if a user's state cannot be read.
        """
        ...

    def oldest_waiting(self) -> Position | None:
        """The first event that the next score of the longest-waiting user will cover."""
        ...

    def take(self, count: int) -> Snapshot:
        """Close a batch of the ``count`` longest-waiting users; they wait no more."""
        ...

    def hold(self, keys: Container[bytes]) -> None:
        """Make further users busy, such as those whom a batch deletes."""
        ...

    def settle(self, snapshot: Snapshot | None, keys: Container[bytes]) -> None:
        """A batch is on disk: what it took and held is no longer busy because of it."""
        ...

    def is_waiting(self, key: bytes) -> bool:
        """Whether this user waits for a score."""
        ...

    def is_busy(self, key: bytes) -> bool:
        """Whether this user's state in memory is, or may be, ahead of the disk."""
        ...

    def state(self, key: bytes) -> UserState:
        """The state of a user, not to be changed; a new one for a user never seen.

        Raises UnknownFormat for bytes that cannot be decoded.
        """
        ...

    def drop(self, key: bytes) -> None:
        """Remove a user who is deleted from memory."""
        ...

    def expire(self, key: bytes) -> None:
        """Let a user in memory start over: they are being deleted from disk."""
        ...

    def make_room(self) -> None:
        """Evict the users read longest ago if there are too many; never one who is busy."""
        ...


# Partition, and how many users may be in memory.
MakeUsers = Callable[[int, int], Users]
