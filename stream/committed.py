"""The commit: what a group has told Kafka of a partition."""

from typing import NamedTuple


class Commit(NamedTuple):
    """What the group has committed of a partition of the events topic."""

    offset: int  # of the next event to read
    scores_end: int | None  # of the scores topic: what stands below is from those who owned it
