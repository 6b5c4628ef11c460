"""The batches in flight: closed, and not yet on disk."""

import asyncio
from asyncio import Task
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from stream.pipeline.batch import Batch

Finish = Callable[[Batch, "Task[None] | None"], Coroutine[Any, Any, None]]


class InFlight:
    """Batches of the current assignment, oldest first, and the tasks that finish them.

    A task of an earlier assignment may still run after `clear`; `wait_idle` waits for these too.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._batches: deque[Batch] = deque()
        self._tasks: set[Task[None]] = set()
        self._newest: Task[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._batches)

    @property
    def is_full(self) -> bool:
        """Whether no batch may start until one is done."""
        return len(self._batches) >= self._limit

    @property
    def rows(self) -> int:
        """The users who are scored in them."""
        return sum(batch.rows for batch in self._batches)

    def start(self, batch: Batch, finish: Finish, done: Callable[["Task[None]"], None]) -> None:
        """Finish a batch in a task, which is given the task of the batch before it."""
        self._batches.append(batch)
        task = self._newest = asyncio.create_task(finish(batch, self._newest))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(done)

    def remove_oldest(self) -> Batch:
        """The oldest batch, which is on disk."""
        return self._batches.popleft()

    def clear(self) -> None:
        """Forget the batches: their partitions are revoked."""
        self._batches.clear()

    def start_over(self) -> None:
        """Begin an assignment: its first batch waits for none before it."""
        self._newest = None

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait for every task to end, well or not; False if time runs out."""
        if not self._tasks:
            return True
        _, unfinished = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        return not unfinished

    def starts(self, partition: int) -> list[int]:
        """The lowest source offset of each batch that has any of this partition."""
        parts = (batch.parts.get(partition) for batch in self._batches)
        return [part.start for part in parts if part is not None and part.start is not None]

    def oldest_ms(self, partition: int) -> list[int]:
        """The oldest timestamp of a first event in each batch that has one of this partition."""
        parts = (batch.parts.get(partition) for batch in self._batches)
        return [ms for part in parts if part is not None if (ms := part.oldest_ms) is not None]
