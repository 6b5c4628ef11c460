"""One partition as the worker holds it: its users, how far it was read, what waits beside them."""

from collections.abc import Container, Iterable

from stream.events import DeadLetter, Event
from stream.users import Users


class Partition:
    """What of a partition is not yet safe, but for the users who wait (`stream.batching`).

    ``forgets`` are the obeyed ``forget`` events of users who wait, by key: each owes a receipt.
    ``markers`` are the forgotten users: key → offset of the ``forget``. Once that offset is
    committed no replay can bring the user back, and the marker may go.
    """

    def __init__(self, number: int, users: Users, markers: Iterable[bytes]) -> None:
        self.number = number
        self.users = users
        self.next_offset = -1  # of the source: everything below it was read; -1: nothing was
        self.dead: list[DeadLetter] = []
        self.forgets: dict[bytes, list[Event]] = {}
        self.markers = {key: users.get(key).applied_offset for key in markers}
        self.committed = -1

    @property
    def oldest_unsafe(self) -> int:
        """The offset of the first dead letter that waits, else of the next message to read."""
        return self.dead[0].message.offset if self.dead else self.next_offset

    def is_committed(self, offset: int) -> bool:
        """Everything below is committed; whether forget markers may go for it."""
        self.committed = max(self.committed, offset)
        return any(marker < offset for marker in self.markers.values())

    def expired_markers(self, busy: tuple[Container[bytes], ...]) -> list[bytes]:
        """Forget markers to delete, of users who are still forgotten and not in ``busy``."""
        passed = [key for key, offset in self.markers.items() if offset < self.committed]
        expired = []
        for key in passed:
            if any(key in keys for keys in busy):
                continue
            del self.markers[key]
            if self.users.get(key).forgotten:
                self.users.drop(key)
                expired.append(key)
        return expired
