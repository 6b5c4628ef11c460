"""One partition as the worker holds it: its users, how far it was read, what waits beside them."""

import math
from collections.abc import Container, Iterable
from itertools import takewhile

from stream.events import DeadLetter, Event
from stream.pipeline.users import Users


class Partition:
    """What of a partition is not yet safe, but for the users who wait (`stream.pipeline.batcher`).

    ``forgets`` are the obeyed ``forget`` events of users who wait, by key: each owes a receipt.
    ``markers`` are the forgotten users: key → offset of the ``forget``. Once that offset is
    committed no replay can bring the user back; ``passed`` are those, with the time at which that
    was learnt, earliest first. After a while no record of a worker that was cut off can bring them
    back either, and the marker may go. All times are of the pipeline's clock, in seconds.
    """

    def __init__(self, number: int, users: Users, markers: Iterable[bytes]) -> None:
        self.number = number
        self.users = users
        self.next_offset = -1  # of the source: everything below it was read; -1: nothing was
        self.dead: list[DeadLetter] = []
        self.forgets: dict[bytes, list[Event]] = {}
        self.markers = {key: users.get(key).applied_offset for key in markers}
        self.passed: dict[bytes, float] = {}

    @property
    def oldest_unsafe(self) -> int:
        """The offset of the first dead letter that waits, else of the next message to read."""
        return self.dead[0].message.offset if self.dead else self.next_offset

    def is_committed(self, offset: int, now_s: float) -> None:
        """Everything below is committed."""
        for key in [key for key, marker in self.markers.items() if marker < offset]:
            del self.markers[key]
            self.passed.pop(key, None)
            self.passed[key] = now_s

    def has_expired_markers(self, before_s: float) -> bool:
        """Whether a forget marker passed so long ago that it may go."""
        return next(iter(self.passed.values()), math.inf) <= before_s

    def expired_markers(
        self, before_s: float, busy: tuple[Container[bytes], ...]
    ) -> dict[bytes, int]:
        """Forget markers to delete, with the offset of their ``forget``.

        Of users who are still forgotten, have not been again since, and are not in ``busy``.
        """
        expired = {}
        for key in list(takewhile(lambda key: self.passed[key] <= before_s, self.passed)):
            if any(key in keys for keys in busy):
                continue
            del self.passed[key]
            state = self.users.get(key)
            if state.forgotten and key not in self.markers:
                self.users.drop(key)
                expired[key] = state.applied_offset
        return expired
