"""A pipeline with a real store, and everything around it moved by hand."""

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec

from prometheus_client import CollectorRegistry

from stream.errors import TopicsError
from stream.events import Message, Validator
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.changelog import Disk
from stream.kafka.placement import PlacementCheck
from stream.kafka.write_fence import WriteFence
from stream.metrics import Metrics
from stream.pipeline.batcher import BatchPolicy, MicroBatcher
from stream.pipeline.limits import Limits
from stream.pipeline.odd_times import OddTimes
from stream.pipeline.pipeline import Pipeline
from stream.pipeline.topics import Topics
from stream.pipeline.users.native_users import NativeUsers
from stream.pipeline.users.reference_users import ReferenceUsers
from stream.pipeline.users.users import Users
from stream.storage.store import StateStore
from stream.user_state import Rules, UserState
from stream.worker.scoring_handler import ScoringHandler
from tests.stream.fakes import EchoScorer, ManualDevice, ManualExecutor, ManualPublisher, settle

P = ParamSpec("P")
TOPICS = Topics("events", "scores", "dead", 2, "receipts", 2, "changelog", "shop")
RULES = Rules(
    sequence_length=5,
    dedupe_window=3,
    allowed_lateness_ms=1_000,
    max_future_ms=1_000,
    ttl_ms=100_000,
)
VALIDATOR = Validator(frozenset({"click", "cart", "buy"}), 10_000, lambda key: 0)
CORES = {"python": ReferenceUsers, "native": NativeUsers}
core = "python"  # changed by the fixture ``core``
AT_ONCE = BatchPolicy(close_users=1000, max_users=1000, deadline_s=0.0)
LATER = BatchPolicy(close_users=1000, max_users=1000, deadline_s=3600.0)
LIMITS = Limits(pending_users=1000, in_flight=3, cache_users=1000)


def make_users(store: StateStore, partition: int = 0, limit: int = 10) -> Users:
    """The users of a partition, on the core of the test."""
    kind: Any = CORES[core]
    users: Users = kind(partition, store, limit, VALIDATOR, RULES)
    return users


def on_a_loop(test: Callable[P, Awaitable[None]]) -> Callable[P, None]:
    """Run an asynchronous test on an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        async def main() -> None:
            await test(*args, **kwargs)

        asyncio.run(main())

    return run


class FakeSource:
    """An events topic that is what it always was, or not: then ``error`` says so."""

    events_id = "topic-1"

    def __init__(self) -> None:
        self.begins: dict[int, int] = {}
        self.error: TopicsError | None = None
        self.newest: list[dict[int, int]] = []
        self.skipped: tuple[dict[int, int], dict[int, int]] | None = None
        self.state_ids: set[str] = set()

    async def examine(
        self, committed: Mapping[int, OffsetMetadata | None], state_ids: Iterable[str]
    ) -> dict[int, int]:
        self.state_ids = set(state_ids)
        if self.error is not None:
            raise self.error
        return self.begins

    async def check_states(self, newest: Mapping[int, int]) -> None:
        self.newest.append(dict(newest))

    def count_skipped(self, offsets: Mapping[int, int], newest: Mapping[int, int]) -> None:
        if offsets:
            self.skipped = (dict(offsets), dict(newest))


class FakeChangelog:
    """A changelog that is what it always was, or not: then ``error`` says so."""

    def __init__(self) -> None:
        self.id: str | None = "changelog-1"
        self.error: TopicsError | None = None
        self.outdated: list[int] = []
        self.disks: dict[int, Disk] = {}

    async def examine(
        self, committed: Mapping[int, OffsetMetadata | None], disks: Mapping[int, Disk]
    ) -> list[int]:
        self.disks = dict(disks)
        if self.error is not None:
            raise self.error
        return self.outdated


class World:
    """What a test sees and moves: the broker, the device, the disk, the clock."""

    def __init__(
        self,
        store: StateStore,
        *,
        policy: BatchPolicy = AT_ONCE,
        limits: Limits = LIMITS,
        scorer: EchoScorer | None = None,
        publisher: ManualPublisher | None = None,
        partitions: Iterable[int] = (0, 1),
    ) -> None:
        self.store = store
        self.publisher = publisher or ManualPublisher()
        self.device = ManualDevice(scorer or EchoScorer())
        self.disk = ManualExecutor()
        asyncio.get_running_loop().set_default_executor(self.disk)
        self.now_s = 0.0
        self.ours = True  # whether the lease is held
        self.metrics = Metrics(CollectorRegistry())
        self.fence = WriteFence()
        self.pipeline = Pipeline(
            topics=TOPICS,
            limits=limits,
            make_users=lambda number, limit: ReferenceUsers(number, store, limit, VALIDATOR, RULES),
            placement=PlacementCheck(VALIDATOR.partition_of, self.metrics.checked_keys),
            odd_times=OddTimes(RULES, lambda: self.now_s),
            batcher=MicroBatcher(policy),
            device=self.device,
            publisher=self.publisher,
            store=store,
            fence=self.fence,
            metrics=self.metrics,
            may_write=lambda: self.ours,
            clock=lambda: self.now_s,
        )
        unused: Any = None  # recovery and score repair need a broker
        self.handler = ScoringHandler(
            self.pipeline,
            unused,
            unused,
            store,
            self.fence,
            TOPICS.scores,
            FakeSource(),
            FakeChangelog(),
            unused,
        )
        self.assign(partitions)
        self.runner = asyncio.create_task(self.pipeline.run())

    def assign(self, partitions: Iterable[int] = (0, 1)) -> None:
        """The group gives us these partitions."""
        for partition in partitions:
            self.store.open(partition)
        self.fence.reset({})
        self.pipeline.assign(partitions)

    async def feed(self, *messages: Message, partition: int = 0) -> None:
        """Messages come, and go as far as they can."""
        await self.pipeline.ingest(partition, messages)
        await settle()

    async def acknowledge(self, topic: str) -> None:
        """The broker has the oldest batch of this topic that it has not answered for."""
        self.publisher.unanswered(topic)[0].acknowledge()
        await settle()

    async def acknowledge_all(self) -> None:
        """The broker has everything, whatever follows from that included."""
        while unanswered := self.publisher.unanswered():
            for sent in unanswered:
                sent.acknowledge()
            await settle()

    async def commit(self) -> dict[int, int]:
        """Commit what may be committed, as the worker does from time to time."""
        positions = self.pipeline.positions()
        self.pipeline.mark_committed(positions)
        await settle()
        return positions

    @property
    def position(self) -> int | None:
        """What may be committed of partition 0."""
        return self.pipeline.positions().get(0)

    @property
    def topics(self) -> list[str]:
        """Where batches were sent, in order."""
        return [sent.topic for sent in self.publisher.sent]

    def stored(self, user: str = "u1", partition: int = 0) -> UserState | None:
        """What the disk has of a user."""
        value = self.store.get(partition, user.encode())
        return None if value is None else UserState.from_bytes(value)

    def failure(self) -> BaseException | None:
        """What the pipeline ended of."""
        return self.pipeline.failed.exception() if self.pipeline.failed.done() else None

    def events(self, outcome: str) -> int:
        """How many events the metrics count with this outcome."""
        return int(self.metrics.events[outcome]._value.get())

    async def end(self) -> None:
        """Stop the pipeline where it is."""
        self.runner.cancel()
        await asyncio.wait({self.runner})
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()  # batches on their way
            await asyncio.wait({task})
        self.failure()  # asked for, so that the event loop does not complain


@asynccontextmanager
async def world(
    directory: Path,
    *,
    policy: BatchPolicy = AT_ONCE,
    limits: Limits = LIMITS,
    scorer: EchoScorer | None = None,
) -> AsyncIterator[World]:
    """A world with two partitions and nobody in it."""
    store = StateStore(directory, lambda cause: None)
    here = World(store, policy=policy, limits=limits, scorer=scorer)
    try:
        yield here
    finally:
        await here.end()
        store.close_all()


def in_a_world(**options: Any) -> Callable[[Callable[[World], Awaitable[None]]], Any]:
    """Run an asynchronous test in a world of its own, with these options of `world`."""

    def decorate(test: Callable[[World], Awaitable[None]]) -> Callable[[Path], None]:
        @on_a_loop
        async def run(tmp_path: Path) -> None:
            async with world(tmp_path, **options) as w:
                await test(w)

        # Not `functools.wraps`: pytest is to see the fixture that is wanted, not the world.
        run.__name__, run.__doc__ = test.__name__, test.__doc__
        run.__module__ = test.__module__
        return run

    return decorate
