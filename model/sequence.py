"""The sequence: one user's recent actions, the input of every scorer."""

from typing import NamedTuple


class Sequence(NamedTuple):
    """One user's recent actions, oldest first by event time.

    The three columns have the same length, which may be 0. ``now_ms`` is the sequence's own
    clock: the event time of the record that triggers the score, never before the last action.
    A scorer must take the time from nothing else.

    ``category_indices`` has a byte for each action, the category that its event gave the item:
    0 for none, n for ``category_names[n - 1]``. Both are empty if no action has a category.
    """

    items: tuple[str, ...]
    actions: tuple[str, ...]
    times_ms: tuple[int, ...]
    now_ms: int
    category_names: tuple[str, ...] = ()
    category_indices: bytes = b""

    def categories(self) -> tuple[str | None, ...]:
        """The category of each action; empty if none has one."""
        names = (None, *self.category_names)
        return tuple([names[index] for index in self.category_indices])
