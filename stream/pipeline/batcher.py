"""The micro-batcher: how many users wait for a score since when, and when a batch closes.

A state machine without clock and without asyncio: callers pass the time, in seconds of any
monotonic clock.
"""

from collections import deque
from dataclasses import dataclass
from heapq import merge
from typing import NamedTuple

BATCH_S = 1.0  # well below every timeout, and below the time to drain at the end


class Taken(NamedTuple):
    """A batch: how many of the longest-waiting users of each partition, and since when."""

    users: dict[int, int]
    oldest_s: float | None  # None: nobody waits, but something else does


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
    """How many users wait for a score in each partition, the longest-waiting first.

    Who they are the partitions know (`stream.pipeline.users`). Only one batch at a time is on the
    device; ``take`` makes it busy, ``done`` frees it.
    """

    def __init__(self, policy: BatchPolicy) -> None:
        self.change(policy)
        self.draining = False  # close batches at once, whatever their size
        self._waiting: dict[int, deque[tuple[float, int]]] = {}  # since when, how many
        self._users = 0
        self._flush_since_s: float | None = None
        self._busy = False

    def __len__(self) -> int:
        return self._users

    def change(self, policy: BatchPolicy) -> None:
        """Use this policy from now on."""
        self.policy = policy
        self._cap = policy.max_users

    def add(self, now_s: float, partition: int, users: int) -> None:
        """So many users more wait in a partition from now on."""
        if users:
            self._waiting.setdefault(partition, deque()).append((now_s, users))
            self._users += users

    def request_flush(self, now_s: float) -> None:
        """Close a batch in time for something without a user, such as a dead letter."""
        if self._flush_since_s is None:
            self._flush_since_s = now_s

    def next_wakeup(self) -> float | None:
        """When the next batch is due, perhaps in the past; None if only a call can make one due."""
        since_s = [queue[0][0] for queue in self._waiting.values()]
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

    def take(self) -> Taken:
        """Close a batch of the longest-waiting users; makes the device busy.

        Within a partition they are a prefix of the waiting users, so that everything before the
        first who remains is in this batch or an earlier one.
        """
        self._busy = True
        self._flush_since_s = None
        oldest_s = min((queue[0][0] for queue in self._waiting.values()), default=None)
        room, users = self._cap, dict[int, int]()
        queues = [[(*entry, number) for entry in queue] for number, queue in self._waiting.items()]
        for _, count, number in merge(*queues, key=lambda entry: entry[0]):
            if not room:
                break
            taken = min(count, room)
            room -= taken
            users[number] = users.get(number, 0) + taken
            self._remove(number, taken)
        return Taken(users, oldest_s)

    def _remove(self, partition: int, users: int) -> None:
        """So many of the first entry of a partition's queue wait no more."""
        queue = self._waiting[partition]
        since_s, count = queue.popleft()
        if count > users:
            queue.appendleft((since_s, count - users))
        elif not queue:
            del self._waiting[partition]
        self._users -= users

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
