"""The commit: what a group has told Kafka of a partition."""

from typing import NamedTuple, Self

_NOTE = "scores_end="  # in the metadata of a commit


class Commit(NamedTuple):
    """What the group has committed of a partition of the events topic."""

    offset: int  # of the next event to read
    scores_end: int | None  # of the scores topic: what stands below is from those who owned it

    @property
    def metadata(self) -> str:
        """What Kafka keeps beside the offset."""
        return "" if self.scores_end is None else f"{_NOTE}{self.scores_end}"

    @classmethod
    def of(cls, offset: int, metadata: str) -> Self:
        """What was committed, by us or by another tool."""
        note = metadata.removeprefix(_NOTE)
        return cls(offset, int(note) if note.isascii() and note.isdigit() else None)
