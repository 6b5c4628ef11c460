"""The way of an event, in order: validate, fold, wait, score, publish, changelog, disk, commit.

Knows no Faust: it is given messages, and gives back which offsets may be committed.
"""

import asyncio
import time
from asyncio import Future, Lock, Task
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Sequence
from functools import partial

from model.scorer import Scorer
from stream.errors import FencedError, StateError
from stream.events import DeadLetter, Message, Validator
from stream.kafka.lease import LOOK_EVERY_S
from stream.kafka.producer import Publisher
from stream.kafka.write_fence import Succession
from stream.metrics import Metrics
from stream.pipeline.batch import Batch
from stream.pipeline.batcher import BatchPolicy, MicroBatcher
from stream.pipeline.delivery import Outlet, Topics
from stream.pipeline.limits import Limits
from stream.pipeline.partition import Partition
from stream.pipeline.scoring import Device, Scored
from stream.pipeline.shedding import shed_level
from stream.pipeline.users import Users
from stream.storage.store import StateStore
from stream.user_state import Outcome, Rules

CHUNK = 1000  # messages validated and folded before the event loop gets its turn
_SCORABLE = frozenset({"applied", "late", "future", "forgotten"})


class Pipeline:
    """Everything between a fetched message and an offset that may be committed.

    ``failed`` is done as soon as something happens after which nothing may be committed any
    more; its exception says what. ``fences`` says that our partitions were let go, and must be
    assigned anew. ``clock`` is monotonic and in seconds.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        limits: Limits,
        rules: Rules,
        validator: Validator,
        batcher: MicroBatcher,
        device: Device,
        publisher: Publisher,
        store: StateStore,
        succession: Succession,
        metrics: Metrics,
        may_write: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._rules = rules
        self._validator = validator
        self._batcher = batcher
        self._device = device
        self._outlet = Outlet(topics, publisher, store, succession, metrics)
        self._succession = succession
        self._store = store
        self._metrics = metrics
        self._may_write = may_write
        self._clock = clock

        self._partitions: dict[int, Partition] = {}
        self._epoch = 0  # of the assignment; a batch of an earlier one may finish nothing
        self._in_flight: deque[Batch] = deque()
        self._tail: Task[None] | None = None  # the batch before the next one
        self._finishing: set[Task[None]] = set()
        self._sending = Lock()  # first come, first served: batches are sent in their order
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self.failed: Future[None] = asyncio.get_running_loop().create_future()
        self.fences: asyncio.Queue[FencedError] = asyncio.Queue(maxsize=1)

    def serve(self, scorer: Scorer, policy: BatchPolicy) -> None:
        """Let this model answer from the next batch on."""
        self._device.swap(scorer)
        self._batcher.change(policy)

    # --- partitions come and go ---------------------------------------------------------------

    def assign(self, partitions: Iterable[int]) -> None:
        """Start afresh with these partitions; their state is recovered and open in the store."""
        self._epoch += 1
        self._tail = None  # those of before have settled, well or not
        numbers, store = set(partitions), self._store
        limit = self._limits.cache_users // max(1, len(numbers))
        self._partitions = {
            number: Partition(number, Users(number, store, limit), store.markers(number))
            for number in numbers
        }

    async def drain(self, timeout_s: float) -> bool:
        """Finish whoever waits and every batch on its way; False if time runs out first."""
        self._batcher.draining = True
        try:
            async with asyncio.timeout(timeout_s):
                while self._is_busy() and not self.failed.done():
                    self._wake.set()
                    await asyncio.sleep(0.005)
        except TimeoutError:
            return False
        finally:
            self._batcher.draining = False
        return not self.failed.done()

    async def settle(self, timeout_s: float) -> bool:
        """After `revoke`: wait until nothing is on its way any more; False if time runs out."""
        if not self._finishing:
            return True
        _, unsettled = await asyncio.wait(set(self._finishing), timeout=timeout_s)
        return not unsettled

    def revoke(self) -> None:
        """Let go of all partitions; what is unfinished comes again to whoever owns them next."""
        self._epoch += 1
        self._partitions = {}
        self._batcher.drop_partitions()
        self._in_flight.clear()
        self._room.set()

    def let_go(self, error: FencedError) -> None:
        """Another's records are among ours: nothing of ours counts until it is assigned anew."""
        self.revoke()
        self._succession.start_over({})
        if self.fences.empty():
            self.fences.put_nowait(error)

    # --- steps 1 and 2: validate, fold -------------------------------------------------------

    async def ingest(self, number: int, messages: Sequence[Message]) -> None:
        """Take messages of one partition, in offset order, each once per assignment.

        Returns when there is room for more.
        """
        epoch = self._epoch
        for start in range(0, len(messages), CHUNK):
            partition = self._partitions.get(number)
            if epoch != self._epoch or partition is None:
                return
            self._ingest(partition, messages[start : start + CHUNK])
            self._wake.set()
            await asyncio.sleep(0)
            while len(self._batcher) > self._limits.pending_users and epoch == self._epoch:
                self._room.clear()
                await self._room.wait()

    def _ingest(self, partition: Partition, messages: Sequence[Message]) -> None:
        events, dead = self._validator.validate(messages, partition.number)
        now_s = self._clock()
        add, get, rules = self._batcher.add, partition.users.get, self._rules
        number = partition.number
        outcomes = []
        try:
            for event in events:
                outcome = get(event.key).apply(event, rules)
                outcomes.append(outcome)
                if outcome in _SCORABLE:
                    add(now_s, number, event)
        except StateError as error:
            self.give_up(error)
            return
        if dead:
            partition.dead += dead
            self._batcher.add_errand(now_s)
        partition.next_offset = messages[-1].offset + 1
        partition.users.make_room(self._busy(number))
        counts = Counter(outcomes)
        if counts["forgotten"]:
            for event, outcome in zip(events, outcomes, strict=True):
                if outcome == "forgotten":
                    partition.forgets.setdefault(event.key, []).append(event)
        self._count(counts, dead)

    def _count(self, counts: Counter[Outcome], dead: Sequence[DeadLetter]) -> None:
        metrics = self._metrics
        for outcome, n in counts.items():
            metrics.events[outcome].inc(n)
            if outcome in ("replayed", "duplicate"):
                metrics.duplicates_skipped.inc(n)
        if dead:
            metrics.events["dead"].inc(len(dead))

    # --- step 3: wait, close a batch ----------------------------------------------------------

    async def run(self) -> None:
        """Close batches when they are due, until cancelled or failed."""
        while not self.failed.done():
            if self._batcher.ready(self._clock()) and len(self._in_flight) < self._limits.in_flight:
                self._start(self._close_batch())
            else:
                await self._sleep()

    async def _sleep(self) -> None:
        wakeup_s = self._batcher.next_wakeup()
        blocked = len(self._in_flight) >= self._limits.in_flight
        timeout_s = None if wakeup_s is None or blocked else max(0.0, wakeup_s - self._clock())
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _close_batch(self) -> Batch:
        batch = Batch(self._batcher.take(), self._partitions)
        before_s = self._clock() - self._limits.forget_marker_s
        for partition in self._partitions.values():
            if partition.has_expired_markers(before_s):
                busy = (*self._busy(partition.number), batch.keys(partition.number))
                batch.purge(partition, partition.expired_markers(before_s, busy))
        if batch.oldest_s is not None:
            waited_s = max(0.0, self._clock() - batch.oldest_s)
            batch.level = shed_level(waited_s, self._limits.shed_after_s)
            self._metrics.batch_wait.observe(waited_s)
            self._metrics.batch_users.observe(len(batch.rows))
        self._room.set()
        return batch

    def _busy(self, number: int) -> tuple[Container[bytes], ...]:
        """Users whose state in memory is ahead of the disk."""
        flying = (batch.keys(number) for batch in self._in_flight)
        return (self._batcher.waiting(number), *flying)

    # --- steps 4 to 7: score, publish, changelog, disk ---------------------------------------

    def _start(self, batch: Batch) -> None:
        self._in_flight.append(batch)
        self._tail = asyncio.create_task(self._finish(batch, self._epoch, self._tail))
        self._finishing.add(self._tail)
        self._tail.add_done_callback(partial(self._finished, self._epoch))

    def _finished(self, epoch: int, task: Task[None]) -> None:
        self._finishing.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, FencedError):
            if epoch == self._epoch:  # or it is let go already, by the batch before
                self.let_go(error)
        elif error is not None:
            self.give_up(error)
        self._wake.set()

    async def _finish(self, batch: Batch, epoch: int, previous: Task[None] | None) -> None:
        """Take one batch from the device to the disk.

        4. Score, off the event loop; then the device is free for the next batch.
        5. Publish scores and dead letters, and wait until the broker has them all; then the
           receipts of those who are forgotten, and wait for these.
        6. Write the changelog, after the batch before, and wait until the broker has it.
        7. Write RocksDB, together with the changelog offset.

        A crash after 5 sends scores and receipts of this batch again, with the same ids. A crash
        after 6 replays events that the recovered state already holds, and skips: their scores
        are out. Only after 7 does `positions` move past the batch.
        """
        scored = await self._score(batch)
        async with self._sending:
            if not await self._is_ours(epoch):
                return
            sent = await self._outlet.send(batch, scored)
        await self._outlet.settle(batch, scored, sent)
        if previous is not None:
            await previous
        if not await self._is_ours(epoch):
            return
        self._outlet.look_for_others(sent)
        written = await self._outlet.write_changelog(batch)
        # Another's records may lie before ours by now, which our disk would then never read.
        if not await self._is_ours(epoch):
            return
        await self._outlet.write_disk(written)
        if epoch == self._epoch:
            self._in_flight.popleft()

    async def _is_ours(self, epoch: int) -> bool:
        """Wait while nobody knows whose the partitions are; whether they are still ours."""
        while epoch == self._epoch and not self._may_write():
            await asyncio.sleep(LOOK_EVERY_S)
        return epoch == self._epoch

    async def _score(self, batch: Batch) -> Scored:
        start_s = time.perf_counter()
        try:
            scored = await self._device.score(batch.sequences, batch.level)
            if scored.scores:
                self._metrics.inference.observe(time.perf_counter() - start_s)
            return scored
        finally:
            self._batcher.done(len(batch.rows), time.perf_counter() - start_s)
            self._wake.set()

    # --- step 8: what may be committed ---------------------------------------------------------

    def positions(self) -> dict[int, int]:
        """Per partition, the source offset below which everything is safe; none for one unread."""
        read = (partition for partition in self._partitions.values() if partition.next_offset >= 0)
        return {partition.number: self._position(partition) for partition in read}

    def _position(self, partition: Partition) -> int:
        number = partition.number
        flying = [s.start for b in self._in_flight if (s := b.shares.get(number)) is not None]
        starts = [start for start in flying if start is not None]
        starts += [waiting.first.offset for waiting in self._batcher.oldest(number)]
        return min([*starts, partition.oldest_unsafe])

    def committed(self, offsets: dict[int, int]) -> None:
        """These offsets are committed, if any are new: forget markers may go for it, or in time."""
        now_s = self._clock()
        for number in offsets.keys() & self._partitions.keys():
            self._partitions[number].is_committed(offsets[number], now_s)
        before_s = now_s - self._limits.forget_marker_s
        if any(p.has_expired_markers(before_s) for p in self._partitions.values()):
            self._batcher.add_errand(now_s)
            self._wake.set()

    # --- what can be seen from outside -------------------------------------------------------

    @property
    def partitions(self) -> frozenset[int]:
        """The partitions we hold."""
        return frozenset(self._partitions)

    @property
    def waiting_users(self) -> int:
        """Users who wait for a batch."""
        return len(self._batcher)

    def oldest_unscored_ms(self) -> int | None:
        """Record timestamp of the oldest event read but not safe; None when there is none."""
        waiting = [entry.first.timestamp_ms for entry in self._batcher.oldest(*self._partitions)]
        flying = [row.waiting.first.timestamp_ms for batch in self._in_flight for row in batch.rows]
        return min(waiting + flying, default=None)

    def _is_busy(self) -> bool:
        dead = any(partition.dead for partition in self._partitions.values())
        return bool(len(self._batcher) or self._in_flight or dead)

    def give_up(self, error: BaseException) -> None:
        """Commit nothing more; whoever waits for `failed` ends the worker."""
        if not self.failed.done():
            self.failed.set_exception(error)
        self._wake.set()
        self._room.set()
