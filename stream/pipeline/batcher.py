"""The micro-batcher: which users wait for a score, and when a batch closes.

A state machine without clock and without asyncio: callers pass the time, in seconds of any
monotonic clock.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from stream.events import Event


class Waiting:
    """A waiting user: since when, and which events the next score covers."""

    __slots__ = ("first", "last", "since_s")

    def __init__(self, since_s: float, event: Event) -> None:
        self.since_s = since_s
        self.first = event  # nothing from here on may be committed before the score is out
        self.last = event


BATCH_S = 1.0  # well below every timeout, and below the time to drain at the end
Taken = tuple[int, bytes, Waiting]  # partition, user id as bytes, and what the score must cover


@dataclass(frozen=True, slots=True)
class BatchPolicy:
    """A batch closes at ``close_users``, or when the oldest has waited ``deadline_s``.

    It takes at most ``max_users``. While that many keep the device busy for longer than
    ``BATCH_S`` it takes fewer, but never below ``close_users``; the others wait for the next batch.
    """

    close_users: int
    max_users: int
    deadline_s: float


class MicroBatcher:
    """Users who wait for a score, one entry each, oldest first.

    A second event of a waiting user joins the first: one score covers both. Only one batch at a
    time is on the device; ``take`` makes it busy, ``done`` frees it.
    """

    def __init__(self, policy: BatchPolicy) -> None:
        self.change(policy)
        self.draining = False  # close batches at once, whatever their size
        self._waiting: dict[int, dict[bytes, Waiting]] = {}
        self._users = 0
        self._flush_since_s: float | None = None
        self._busy = False

    def __len__(self) -> int:
        return self._users

    def change(self, policy: BatchPolicy) -> None:
        """Use this policy from now on."""
        self.policy = policy
        self._cap = policy.max_users

    def add(self, now_s: float, partition: int, event: Event) -> None:
        """A user has a new event; its offset must be above those of the user's earlier ones."""
        key = event.key
        users = self._waiting.get(partition)
        if users is None:
            users = self._waiting[partition] = {}
        waiting = users.get(key)
        if waiting is None:
            users[key] = Waiting(now_s, event)
            self._users += 1
        else:
            waiting.last = event

    def request_flush(self, now_s: float) -> None:
        """Close a batch in time for something without a user, such as a dead letter."""
        if self._flush_since_s is None:
            self._flush_since_s = now_s

    def waiting(self, partition: int) -> Container[bytes]:
        """The users who wait in a partition."""
        return self._waiting.get(partition, ())

    def oldest(self, *partitions: int) -> list[Waiting]:
        """The longest-waiting user of each of these partitions; none where nobody waits."""
        return [next(iter(users.values())) for p in partitions if (users := self._waiting.get(p))]

    def next_wakeup(self) -> float | None:
        """When the next batch is due, perhaps in the past; None if only a call can make one due."""
        since_s = [waiting.since_s for waiting in self.oldest(*self._waiting)]
        if self._flush_since_s is not None:
            since_s.append(self._flush_since_s)
        if self._busy or not since_s:
            return None
        if self.draining or self._users >= self.policy.close_users:
            return min(since_s)
        return min(since_s) + self.policy.deadline_s

    def ready(self, now_s: float) -> bool:
        """Whether a batch should be taken now."""
        wakeup_s = self.next_wakeup()
        return wakeup_s is not None and wakeup_s <= now_s

    def take(self) -> list[Taken]:
        """Close a batch of the longest-waiting users, oldest first; makes the device busy.

        Within a partition the batch is a prefix of the waiting users, so that everything before the
        first who remains is in this batch or an earlier one.
        """
        self._busy = True
        self._flush_since_s = None
        if self._users <= self._cap:
            queues, self._waiting = self._waiting, {}
            taken = [
                (partition, key, waiting)
                for partition, users in queues.items()
                for key, waiting in users.items()
            ]
        else:
            taken = self._oldest_users()
            for partition, key, _ in taken:
                del self._waiting[partition][key]
        self._users -= len(taken)
        return taken

    def _oldest_users(self) -> list[Taken]:
        queues = [_queue(partition, users) for partition, users in self._waiting.items()]
        by_age = merge(*queues, key=lambda taken: taken[2].since_s)
        return list(islice(by_age, self._cap))

    def done(self, users: int = 0, seconds: float = 0.0) -> None:
        """The device is free again, after this many users and seconds.

        A batch that took too long lowers the cap in proportion; any other doubles it.
        """
        self._busy = False
        if seconds > BATCH_S:
            self._cap = max(self.policy.close_users, int(users * BATCH_S / seconds))
        else:
            self._cap = 2 * self._cap
        self._cap = min(self._cap, self.policy.max_users)

    def drop_partitions(self) -> None:
        """Drop all waiting users: the partitions are revoked, and their events come again."""
        self._waiting.clear()
        self._users = 0
        self._flush_since_s = None


def _queue(partition: int, users: dict[bytes, Waiting]) -> Iterator[Taken]:
    for key, waiting in users.items():
        yield partition, key, waiting
