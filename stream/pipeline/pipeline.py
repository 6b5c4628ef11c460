"""The path of an event, in order: validate, fold, wait, score, publish, changelog, disk, commit.

Knows neither Faust nor Kafka's client: it is given messages, and says which offsets may be
committed.
"""

import asyncio
import time
from asyncio import Future, Lock, Task
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from model.scorer import ModelInfo, Scorer
from stream.errors import FencedError, StateError
from stream.events import Message
from stream.kafka.lease import POLL_S
from stream.kafka.placement import PlacementCheck
from stream.kafka.producer import Publisher
from stream.kafka.write_fence import WriteFence
from stream.metrics import Metrics
from stream.pipeline.batch import Batch
from stream.pipeline.batcher import BatchPolicy, MicroBatcher
from stream.pipeline.delivery import DeliveryStage
from stream.pipeline.in_flight import InFlight
from stream.pipeline.ingest import Ingest
from stream.pipeline.limits import Limits
from stream.pipeline.odd_times import OddTimes
from stream.pipeline.partition import Partition
from stream.pipeline.progress import Progress
from stream.pipeline.scoring import Device, Scored
from stream.pipeline.shedding import Level, shed_level
from stream.pipeline.topics import Topics
from stream.pipeline.users.users import MakeUsers
from stream.storage.store import StateStore

CHUNK = 1000  # messages validated and folded before the event loop gets its turn


class Pipeline:
    """Everything between a fetched message and an offset that may be committed.

    ``failed`` is done as soon as nothing may be committed any more; its exception says why.
    ``fenced`` receives an error whenever the partitions were released because another writer used
    our topics; they must then be assigned again. ``clock`` is monotonic and in seconds.
    """

    def __init__(
        self,
        *,
        topics: Topics,
        limits: Limits,
        make_users: MakeUsers,
        placement: PlacementCheck,
        odd_times: OddTimes,
        batcher: MicroBatcher,
        device: Device,
        publisher: Publisher,
        store: StateStore,
        fence: WriteFence,
        metrics: Metrics,
        may_write: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._make_users = make_users
        self._batcher = batcher
        self._device = device
        self._delivery = DeliveryStage(topics, publisher, store, fence, metrics)
        self._fence = fence
        self._store = store
        self._metrics = metrics
        self._may_write = may_write
        self._clock = clock

        self._partitions: dict[int, Partition] = {}
        self._in_flight = InFlight(limits.in_flight)
        self._progress = Progress(self._partitions, batcher, self._in_flight)
        self._ingest = Ingest(batcher, odd_times, metrics, clock)
        self._placement = placement
        self.level: Level = "full"  # of the last batch
        self._epoch = 0  # of the assignment; a batch of an earlier one must not finish anything
        self._sending = Lock()  # first come, first served: batches are sent in their order
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self.failed: Future[None] = asyncio.get_running_loop().create_future()
        self.fenced: asyncio.Queue[FencedError] = asyncio.Queue(maxsize=1)

    def serve(self, scorer: Scorer, policy: BatchPolicy) -> None:
        """Score with this model from the next batch on."""
        self._device.swap(scorer)
        self._batcher.change(policy)

    # --- partitions come and go ---------------------------------------------------------------

    def assign(self, partitions: Iterable[int], begins: Mapping[int, int] | None = None) -> None:
        """Start over with these partitions, open in the store; ``begins``: their next offsets."""
        self._epoch += 1
        self._in_flight.start_over()  # batches of earlier assignments have ended, well or not
        numbers, store = set(partitions), self._store
        limit = self._limits.cache_users // max(1, len(numbers))
        self._partitions.clear()
        for number in numbers:
            users = self._make_users(number, limit)
            begin = (begins or {}).get(number, -1)
            self._partitions[number] = Partition(number, users, store.markers(number), begin)

    async def drain(self, timeout_s: float) -> bool:
        """Finish every waiting user and every batch in flight; False if time runs out first."""
        self._batcher.draining = True
        try:
            async with asyncio.timeout(timeout_s):
                while self._progress.is_busy() and not self.failed.done():
                    self._wake.set()
                    await asyncio.sleep(0.005)
        except TimeoutError:
            return False
        finally:
            self._batcher.draining = False
        return not self.failed.done()

    async def wait_idle(self, timeout_s: float) -> bool:
        """After `revoke`: wait until no batch is in flight any more; False if time runs out."""
        return await self._in_flight.wait_idle(timeout_s)

    def revoke(self) -> None:
        """Give up all partitions; their next owner reads again what is unfinished."""
        self._epoch += 1
        self._partitions.clear()
        self._batcher.drop_partitions()
        self._in_flight.clear()
        self._room.set()

    def release(self, error: FencedError) -> None:
        """Give up all partitions because of another writer, until they are assigned again."""
        self.revoke()
        self._fence.reset({})
        if self.fenced.empty():
            self.fenced.put_nowait(error)

    def fail(self, error: BaseException) -> None:
        """Commit nothing more; whoever waits for `failed` ends the worker."""
        if not self.failed.done():
            self.failed.set_exception(error)
        self._wake.set()
        self._room.set()

    # --- steps 1 and 2: validate, fold --------------------------------------------------------

    async def ingest(self, number: int, messages: Sequence[Message]) -> None:
        """Take messages of one partition in offset order, each once; return when there is room."""
        epoch = self._epoch
        for start in range(0, len(messages), CHUNK):
            partition = self._partitions.get(number)
            if epoch != self._epoch or partition is None:
                return
            try:
                self._ingest.add(partition, messages[start : start + CHUNK])
            except StateError as error:
                self.fail(error)
            else:
                partition.users.make_room()
            self._wake.set()
            await asyncio.sleep(0)
            while self._is_full and epoch == self._epoch:
                self._room.clear()
                await self._room.wait()

    # --- step 3: wait, close a batch ----------------------------------------------------------

    async def run(self) -> None:
        """Close batches when they are due, until cancelled or failed."""
        while not self.failed.done():
            if self._batcher.ready(self._clock()) and not self._in_flight.is_full:
                self._start(self._close_batch())
            else:
                await self._sleep()

    async def _sleep(self) -> None:
        wakeup_s = self._batcher.next_wakeup()
        blocked = self._in_flight.is_full
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
            if partition.has_expired_markers(before_s) or partition.expiring:
                batch.purge(partition, partition.expired_markers(before_s))
                batch.expire(partition, partition.expired_users())
        if batch.oldest_s is not None:
            waited_s = max(0.0, self._clock() - batch.oldest_s)
            batch.level = self.level = shed_level(waited_s, self._limits.shed_after_s)
            self._metrics.batch_wait.observe(waited_s)
            self._metrics.batch_users.observe(batch.rows)
            # One user of each partition: the hash is too slow to compute for every user.
            firsts = ((p.number, p.snapshot.first_key) for p in batch.parts.values() if p.snapshot)
            self._placement.check((number, key) for number, key in firsts if key is not None)
        self._room.set()
        return batch

    # --- steps 4 to 7: score, publish, changelog, disk ----------------------------------------

    def _start(self, batch: Batch) -> None:
        epoch = self._epoch
        self._in_flight.start(batch, partial(self._finish, epoch), partial(self._finished, epoch))

    def _finished(self, epoch: int, task: Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, FencedError):
            if epoch == self._epoch:  # else the batch before it has released them already
                self.release(error)
        elif error is not None:
            self.fail(error)
        self._wake.set()

    async def _finish(self, epoch: int, batch: Batch, previous: Task[None] | None) -> None:
        """Take one batch from the device to the disk.

        4. Score, off the event loop; then the device is free for the next batch.
        5. Publish scores and dead letters and wait for the broker's acknowledgement of all of them;
           then the same for the receipts of forgotten users.
        6. Write the changelog, after the previous batch, and wait for its acknowledgement.
        7. Write RocksDB, together with the changelog offset.

        A crash after 5 sends scores and receipts of this batch again, with the same ids. A crash
        after 6 replays events that the recovered state already holds, and skips them: their scores
        are out. Only after 7 does `positions` move past the batch.
        """
        scored = await self._score(batch)
        async with self._sending:
            if not await self._await_ownership(epoch):
                return
            sent = await self._delivery.send(batch, scored)
        await self._delivery.await_acks(batch, scored, sent)
        if previous is not None:
            await previous
        if not await self._await_ownership(epoch):
            return
        self._delivery.check_fence(sent)
        written = await self._delivery.write_changelog(batch)
        # Another owner's records may precede ours by now, and our disk would never read them.
        if not await self._await_ownership(epoch):
            return
        await self._delivery.write_disk(written)
        if epoch == self._epoch:
            self._in_flight.remove_oldest().settle(self._partitions)

    async def _await_ownership(self, epoch: int) -> bool:
        """Wait while the lease is not held; whether the partitions are still ours then."""
        while epoch == self._epoch and not self._may_write():
            await asyncio.sleep(POLL_S)
        return epoch == self._epoch

    async def _score(self, batch: Batch) -> Scored:
        start_s = time.perf_counter()
        try:
            scored = await self._device.score(batch.sequences(), batch.level)
            if scored.scores:
                self._metrics.inference.observe(time.perf_counter() - start_s)
            return scored
        finally:
            self._batcher.done(batch.rows, time.perf_counter() - start_s)
            self._wake.set()

    # --- step 8: what may be committed --------------------------------------------------------

    def positions(self) -> dict[int, int]:
        """Per partition, the source offset below which everything is safe; none for one unread."""
        return self._progress.positions()

    def mark_committed(self, offsets: Mapping[int, int]) -> None:
        """Take note of committed offsets, which let forget markers expire after their time."""
        now_s = self._clock()
        for number in offsets.keys() & self._partitions.keys():
            self._partitions[number].mark_committed(offsets[number], now_s)
        before_s = now_s - self._limits.forget_marker_s
        if any(p.has_expired_markers(before_s) for p in self._partitions.values()):
            self._batcher.request_flush(now_s)
            self._wake.set()

    def expire(self, number: int, users: Iterable[bytes], before_ms: int) -> None:
        """Delete these users with the next batch, unless one has acted since this event time."""
        partition = self._partitions.get(number)
        if partition is not None and (expiring := dict.fromkeys(users, before_ms)):
            partition.expiring |= expiring
            self._batcher.request_flush(self._clock())
            self._wake.set()

    def is_expiring(self, number: int) -> bool:
        """Whether users of this partition wait for a batch that deletes them."""
        partition = self._partitions.get(number)
        return partition is not None and bool(partition.expiring)

    # --- what monitoring reads ----------------------------------------------------------------

    @property
    def partitions(self) -> frozenset[int]:
        """The assigned partitions."""
        return frozenset(self._partitions)

    def take_gaps(self) -> dict[int, list[tuple[int, int]]]:
        """The offsets by partition that no record came for since the last call."""
        return {number: partition.take_gaps() for number, partition in self._partitions.items()}

    @property
    def model(self) -> ModelInfo:
        """The model that scores the next batch."""
        return self._device.info

    @property
    def unscored_users(self) -> int:
        """Users who wait for a batch, or whose batch is not done."""
        return len(self._batcher) + self._in_flight.rows

    @property
    def cached_users(self) -> int:
        """Users whose state is decoded in memory."""
        return sum(len(partition.users) for partition in self._partitions.values())

    @property
    def paused_partitions(self) -> int:
        """Partitions that are not read: all of ours while too many users wait, else none."""
        return len(self._partitions) if self._is_full else 0

    @property
    def _is_full(self) -> bool:
        return len(self._batcher) > self._limits.pending_users

    @property
    def waiting_users(self) -> int:
        """Users who wait for a batch."""
        return len(self._batcher)

    def report_odd_times(self) -> None:
        """Log the events that came too late, or from the future, at most once a minute each."""
        self._ingest.odd_times.report()

    def oldest_unscored_ms(self) -> int | None:
        """Record timestamp of the oldest event read but not safe; None when there is none."""
        return self._progress.oldest_unscored_ms()

    def oldest_unsafe_ms(self) -> dict[int, int]:
        """Per partition, the same, or else the timestamp of the last message read, if any."""
        return self._progress.oldest_unsafe_ms()
