"""The sequence: one user's recent actions, the input of every scorer."""

from typing import NamedTuple


class Sequence(NamedTuple):
    """One user's recent actions, oldest first by event time.

    The three columns have the same length, which may be 0. ``now_ms`` is the sequence's own
    clock: the event time of the record that triggers the score, never before the last action.
    A scorer must take the time from nothing else.
    """

    items: tuple[str, ...]
    actions: tuple[str, ...]
    times_ms: tuple[int, ...]
    now_ms: int
