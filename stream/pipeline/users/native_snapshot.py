"""The snapshot on the native core (`Snapshot`): values, scores and record batches."""

import time
from collections.abc import Iterable
from collections.abc import Sequence as Batch
from typing import Any

import numpy as np
import numpy.typing as npt

from model import native
from model.sequence import Sequence
from stream.events import Message
from stream.kafka.fetching.fetched_records import FetchedMessage
from stream.kafka.producer import Headers, Publisher, RecordBatch
from stream.pipeline.encoding import ScoreEncoder
from stream.pipeline.users.snapshot_sequences import SnapshotSequences


class NativeSnapshot:
    """The users whom the core took, in the order in which they waited."""

    def __init__(self, partition: int, taken: Any) -> None:
        self.native = taken
        self.start: int = -1 if taken.start is None else taken.start
        self.forgotten: dict[bytes, int] = dict(taken.forgotten())
        self._partition = partition

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.native) - len(self.forgotten)

    @property
    def first_key(self) -> bytes | None:
        """See `Snapshot.first_key`."""
        key: bytes | None = self.native.first_key()
        return key

    def sequences(self) -> Batch[Sequence]:
        """See `Snapshot.sequences`."""
        return SnapshotSequences([self.native])

    def first_times_ms(self) -> npt.NDArray[np.int64]:
        """See `Snapshot.first_times_ms`."""
        return np.frombuffer(self.native.first_times_ms(), np.int64)

    def last_message(self, row: int) -> Message:
        """See `Snapshot.last_message`."""
        return FetchedMessage._make(self.native.last_record(row))

    def scores(
        self,
        publisher: Publisher,
        encoder: ScoreEncoder,
        predictions: Batch[bytes | None],
        scored_at_ms: int,
        headers: Headers,
    ) -> list[RecordBatch]:
        """See `Snapshot.scores`."""
        model = encoder.model
        writer = native.core.ScoreWriter(
            encoder.events_topic, model.name, model.version, encoder.source, model.horizon_s
        )
        limit = publisher.batch_bytes
        return publisher.compress(
            self.native.scores(writer, self._partition, predictions, scored_at_ms, headers, limit)
        )

    def changelog(self, publisher: Publisher) -> list[RecordBatch]:
        """See `Snapshot.changelog`."""
        now_ms = time.time_ns() // 1_000_000
        return publisher.compress(self.native.changelog(publisher.batch_bytes, now_ms))

    def changes(self) -> Iterable[tuple[bytes, bytes]]:
        """See `Snapshot.changes`."""
        changes: list[tuple[bytes, bytes]] = self.native.changes()
        return changes
