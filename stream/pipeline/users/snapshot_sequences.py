"""The sequences of snapshots in the native core, made only for a scorer that asks for one."""

from collections.abc import Sequence as Batch
from functools import cached_property
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from model.sequence import Sequence


class SnapshotSequences(Batch[Sequence]):
    """A sequence for each user who is scored, snapshot by snapshot."""

    def __init__(self, snapshots: list[Any]) -> None:
        self.snapshots = snapshots

    def encode(self, vocabulary: Any) -> list[npt.NDArray[np.int32]]:
        """The columns of their codes, by a vocabulary of the core.

        ``model.serving.answering.encoded`` asks for them.
        """
        columns = [vocabulary.encode(snapshot) for snapshot in self.snapshots]
        joined = (b"".join(parts) for parts in zip(*columns, strict=True))
        return [np.frombuffer(column, np.int32) for column in joined]

    def newest_items(self) -> list[str | None]:
        """The newest item of each sequence; None for an empty one."""
        return [item for snapshot in self.snapshots for item in snapshot.newest_items()]

    def __len__(self) -> int:
        """The number of sequences."""
        return sum(snapshot.scored for snapshot in self.snapshots)

    @overload
    def __getitem__(self, at: int) -> Sequence: ...

    @overload
    def __getitem__(self, at: slice) -> list[Sequence]: ...

    def __getitem__(self, at: int | slice) -> Sequence | list[Sequence]:
        """One sequence, or some."""
        return self._all[at]

    @cached_property
    def _all(self) -> list[Sequence]:
        fields = (fields for snapshot in self.snapshots for fields in snapshot.sequences())
        return list(map(Sequence._make, fields))
