"""The sequence: what one user did lately, as every scorer sees it."""

from typing import NamedTuple


class Sequence(NamedTuple):
    """One user's recent actions, oldest first by event time.

    The three columns have the same length, which may be 0. ``now_ms`` is the record's own
    clock: the event time of the record that asked for the score, and never before the last
    action. Nothing else may tell a scorer what time it is.
    """

    items: tuple[str, ...]
    actions: tuple[str, ...]
    times_ms: tuple[int, ...]
    now_ms: int
