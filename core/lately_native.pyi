"""What Python sees of the native core; src/python has the other half."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int32]
Reals = npt.NDArray[np.float32]

__version__: str

Header = tuple[str, bytes | None]

class Chunk:
    """The records of a fetch; a tuple of one is made when it is asked for.

    ValueError if there is anything that aiokafka's parser must judge: compression, another format,
    a wrong checksum, any fault. Not to be used for a fetch with aborted transactions.
    """

    next_offset: int  # where the next fetch starts
    def __init__(self, fetch: bytes, from_offset: int, check_crcs: bool = True) -> None: ...
    @staticmethod
    def of(
        records: Iterable[tuple[int, int, bytes | None, bytes | None, Iterable[Header]]],
    ) -> Chunk:
        """Records that aiokafka's parser has read: offset, timestamp, key, value, headers."""
    def __len__(self) -> int: ...
    def __getitem__(
        self, at: int
    ) -> tuple[int, int, bytes | None, bytes | None, tuple[Header, ...]]:
        """Offset, timestamp, key, value and headers."""
    def offset(self, at: int) -> int: ...

class ReadyBatch:
    """A batch that aiokafka's producer takes in place of one of its BatchBuilder."""

    def encoded(self) -> bytes:
        """The records alone, to be compressed."""
    def compress(self, codec: int, compressed: bytes) -> None:
        """Put compressed records in place of the plain ones; ``codec`` is Kafka's number of it."""
    def append(self, **record: Any) -> None: ...
    def close(self) -> None: ...
    def closed(self) -> bool: ...
    def size(self) -> int: ...
    def record_count(self) -> int: ...
    def _set_producer_state(
        self, producer_id: int, producer_epoch: int, base_sequence: int
    ) -> None: ...
    def _build(self) -> bytes: ...

def build_batches(
    records: Iterable[tuple[bytes | None, bytes | None, list[Header]]],
    limit: int,
    timestamp_ms: int,
) -> list[ReadyBatch]:
    """Put records into batches of at most ``limit`` bytes, all of one timestamp."""

def instruction_sets() -> list[str]:
    """The instruction sets of this processor that the kernel has code for, the fastest first."""

class ItemTable:
    """The items of a model; answers queries over all of them, see src/python/item_table.rs."""

    def __init__(
        self,
        vectors: Reals,
        biases: Reals,
        neighbours: tuple[npt.NDArray[np.int64], Codes, Reals] | None = None,
        instructions: str | None = None,
    ) -> None: ...
    @property
    def instructions(self) -> str: ...
    def best(
        self, queries: Reals, copies: Reals, rules: Reals, codes: Codes, count: int
    ) -> tuple[bytes, bytes]: ...
    def scores(self, queries: Reals, count: int) -> tuple[tuple[bytes, bytes], bytes]: ...

class Users:
    """The users of one partition that are in memory, each state as its bytes."""

    def __init__(
        self,
        sequence_length: int,
        dedupe_window: int,
        allowed_lateness_ms: int,
        max_future_ms: int,
        ttl_ms: int,
        actions: list[str],
        max_message_bytes: int,
    ) -> None: ...
    def __len__(self) -> int: ...
    def know(self, vocabulary: Vocabulary) -> None:
        """Keep the codes of this model beside the items from now on."""
    def missing(self, chunk: Chunk, start: int, end: int) -> list[bytes]:
        """The keys of these records, each once, whose users must be loaded first."""
    def load(self, key: bytes, value: bytes | None) -> None:
        """Take over a stored value; ValueError if Python must read and write it anew, or refuse."""
    def fold(self, chunk: Chunk, start: int, end: int) -> int:
        """Fold records in; returns ``end``, or the place of one that Python must judge."""
    def fold_event(
        self,
        chunk: Chunk,
        at: int,
        key: bytes,
        clock_ms: int,
        item: str,
        action: str,
        ts_ms: int,
        event_id: str | None,
        category: str | None,
    ) -> int:
        """Fold in the event that Python made of record ``at``.

        Returns the place of its outcome in ``take_outcomes``; ValueError if its user is not loaded.
        """
    def value(self, key: bytes) -> bytes | None:
        """A user's value; empty if nothing was applied, None if the user is not loaded."""
    @property
    def waiting(self) -> int:
        """How many users wait for a score."""
    def oldest_waiting(self) -> tuple[int, int] | None:
        """Offset and time of the first event that the longest-waiting user's score will cover."""
    def take(self, count: int) -> Snapshot:
        """Copy the values of so many of the longest-waiting users, who wait no more."""
    def settle(self, snapshot: Snapshot) -> None:
        """The snapshot is on disk: its users are no longer busy because of it."""
    def is_waiting(self, key: bytes) -> bool: ...
    def is_busy(self, key: bytes) -> bool:
        """Whether the user waits, or memory may be ahead of the disk."""
    def drop(self, key: bytes) -> None:
        """Remove a user, unless they wait."""
    def expire(self, key: bytes) -> None:
        """Let a user start over, whom a batch deletes from the disk."""
    def evict(self, count: int) -> None:
        """Evict so many users who were loaded longest ago and are not busy."""
    def take_outcomes(self) -> list[int]:
        """Events since the last call: applied, late, future, duplicate, replayed, forgotten."""

class Snapshot:
    """Users as they were when a batch closed, in the order in which they waited."""

    start: int | None  # the lowest source offset that it covers
    scored: int  # how many are not forgotten
    def __len__(self) -> int:
        """How many users, forgotten ones included."""
    def forgotten(self) -> list[tuple[bytes, int]]:
        """The forgotten users, each with the offset of the forget."""
    def changes(self) -> list[tuple[bytes, bytes]]:
        """Keys and values of all users."""
    def first_key(self) -> bytes | None:
        """The key of the first who is not forgotten."""
    def first_times_ms(self) -> bytes:
        """The time of the first event that each score covers, as an int64 array."""
    def last_record(
        self, row: int
    ) -> tuple[int, int, bytes | None, bytes | None, tuple[Header, ...]]:
        """The last record that a score covers, as ``Chunk`` gives it."""
    def newest_items(self) -> list[str | None]:
        """The newest item of each who is not forgotten; None without actions."""
    def sequences(self) -> list[tuple[Any, ...]]:
        """The sequences of all who are not forgotten, each as the fields of a ``Sequence``."""
    def changelog(self, limit: int, timestamp_ms: int) -> list[ReadyBatch]: ...
    def scores(
        self,
        writer: ScoreWriter,
        partition: int,
        predictions: list[bytes | None],
        scored_at_ms: int,
        headers: list[Header],
        limit: int,
    ) -> list[ReadyBatch]:
        """The scores of all who are not forgotten.

        ``predictions`` has one for each, or None for who could not be scored; else ValueError.
        """

class Vocabulary:
    """The codes of one model."""

    def __init__(
        self,
        items: list[str],
        actions: list[str],
        gap_bounds_ms: list[int],
        max_length: int,
    ) -> None: ...
    def encode(self, snapshot: Snapshot) -> list[bytes]:
        """The columns of ``model.features.Ragged``, as int32, of all who are not forgotten."""

class ScoreWriter:
    """Writes the scores of one model at one level; ``source`` is what a score id is made of."""

    def __init__(
        self, events_topic: str, name: str, version: str, source: bytes, horizon_s: int
    ) -> None: ...
    def batches(
        self,
        partition: int,
        rows: Iterable[tuple[bytes, int, int, int, bytes]],
        scored_at_ms: int,
        headers: list[Header],
        limit: int,
    ) -> list[ReadyBatch]:
        """A row: key, source offset, event time, number of actions, prediction without braces."""

class PredictionWriter:
    """Writes the predictions of one model, straight from its arrays."""

    def __init__(
        self,
        items: list[str],
        categories: list[str],
        intents: list[str],
        horizon_s: int,
        top_categories: int,
    ) -> None: ...
    def write(
        self,
        top_items: npt.NDArray[np.int64],
        top_probs: npt.NDArray[np.float32],
        category_probs: npt.NDArray[np.float32],
        chances: npt.NDArray[np.float64],
    ) -> Predictions:
        """Encode one prediction a row; ValueError for what cannot be of this model."""

class Predictions:
    """Encoded predictions, a row for each sequence."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int) -> bytes: ...
