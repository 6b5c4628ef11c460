"""The wiring of the worker: builds its parts, and starts them in order of dependency."""

import asyncio
import time
from asyncio import Future, Task
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from stream import logs
from stream.addresses import Address
from stream.errors import BrokerError
from stream.events import Validator
from stream.group.faust_app import build_app, instance_id_of
from stream.group.member import GroupMember
from stream.health import Health
from stream.kafka.fetching.chunked_fetch import read_in_chunks
from stream.kafka.fetching.log_reader import LogReader
from stream.kafka.lease import Lease
from stream.kafka.placement import PlacementCheck, default_partitioner
from stream.kafka.producer import Publisher, start_producer
from stream.kafka.security import client_options
from stream.kafka.topics import TopicParameters, ensure_owner, ensure_topics
from stream.kafka.write_fence import WriteFence
from stream.metrics import Metrics
from stream.pipeline.batcher import MicroBatcher
from stream.pipeline.limits import Limits
from stream.pipeline.odd_times import OddTimes
from stream.pipeline.pipeline import Pipeline
from stream.pipeline.scoring import Device
from stream.pipeline.topics import Topics
from stream.pipeline.users.native_users import NativeUsers
from stream.pipeline.users.reference_users import ReferenceUsers
from stream.pipeline.users.users import MakeUsers
from stream.settings import WorkerSettings
from stream.storage.open_files import files_per_partition
from stream.storage.recovery import Recovery
from stream.storage.store import StateStore
from stream.version import VERSION
from stream.worker.changelog_check import ChangelogCheck
from stream.worker.core import core_of
from stream.worker.expiry import ExpirySweep
from stream.worker.http import HealthServer
from stream.worker.models.accepted_actions import AcceptedActions
from stream.worker.models.model_reload import Model, Reloader, name_model
from stream.worker.monitor import Monitor
from stream.worker.score_repair import ScoreRepair
from stream.worker.scoring_handler import ScoringHandler
from stream.worker.source_watch import SourceWatch
from stream.worker.status_log import StatusLog

T = TypeVar("T")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the life of a worker needs of its started parts."""

    health: Health
    store: StateStore
    member: GroupMember
    failed: "Future[None]"
    services: "list[Task[None]]"


class Wiring:
    """Builds and starts the parts of one worker. Setting ``reload`` loads the artifact again."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.reload = asyncio.Event()
        self._settings = settings
        self._metrics = Metrics(CollectorRegistry())
        self._health = Health(time.monotonic())
        self._monitor = Monitor(self._health, self._metrics)
        self._lease = Lease(settings.session_timeout_s)
        self._fence = WriteFence()
        self._store = StateStore(
            settings.state_dir / settings.group, lambda cause: self._metrics.rebuilds[cause].inc()
        )
        self._accepted = AcceptedActions(settings)
        self._core = core_of(settings)
        if self._core == "native":
            read_in_chunks(settings.events_topic)
        self._pipeline: Pipeline

    async def start(self, stack: AsyncExitStack) -> Parts:
        """Start everything; ``stack`` closes it. Raises LatelyError when a part cannot start."""
        settings = self._settings
        self._store.lock()
        stack.callback(self._store.close_all)
        instance_id = settings.instance_id or instance_id_of(settings.state_dir)
        logs.set_context(group=settings.group, instance=instance_id, version=VERSION)
        server = await self._serve_http(stack)
        connecting = _in_background(self._connect(stack), stack)
        reloader, model = await self._load_model()
        required, producer, reader = await connecting
        device = Device(model.scorer, settings.scoring_timeout_s)
        stack.callback(device.close)
        watch = SourceWatch(settings, reader, self._health, self._metrics)
        changelog = ChangelogCheck(settings, reader)
        handler = await self._build_handler(producer, device, model, required, watch, changelog)
        member = self._build_member(handler, required.partitions, instance_id)
        self._log_start(model, required.partitions)
        self._health.set_ok("worker")
        await _join(member, handler.failed)
        return Parts(
            self._health,
            self._store,
            member,
            handler.failed,
            self._start_services(member, producer, reloader, watch, changelog, server.url),
        )

    async def _serve_http(self, stack: AsyncExitStack) -> HealthServer:
        address = Address.parse(self._settings.http)
        # A gauge is 0 until it is set, and a disk with no room left is an alert.
        await asyncio.to_thread(self._monitor.measure_disk, self._settings.state_dir)
        server = HealthServer(address, self._health, self._metrics)
        await server.start()
        stack.push_async_callback(server.stop)
        heartbeat = asyncio.create_task(self._monitor.beat())
        stack.callback(heartbeat.cancel)
        return server

    async def _load_model(self) -> tuple[Reloader, Model]:
        settings = self._settings
        reloader = Reloader(
            settings.artifact,
            lambda: _load(settings, self._accepted),
            lambda model: self._pipeline.serve(*model),
            self._metrics,
        )
        model = await asyncio.to_thread(reloader.start)
        await asyncio.to_thread(self._accepted.remember)
        self._health.set_ok("model")
        info = model.scorer.info
        self._metrics.set_model(info.name, info.version, info.device, info.created_s)
        return reloader, model

    async def _connect(
        self, stack: AsyncExitStack
    ) -> tuple[TopicParameters, AIOKafkaProducer, LogReader]:
        """Check the topics, and start the clients outside the group."""
        settings = self._settings
        required = await ensure_topics(settings)
        self._store.max_open_files = files_per_partition(required.partitions)
        producer = await start_producer(settings, self._lease, required.batch_bytes)
        self._health.set_ok("broker")
        return required, producer, await self._open_reader(stack)

    async def _open_reader(self, stack: AsyncExitStack) -> LogReader:
        settings = self._settings
        try:
            return await stack.enter_async_context(LogReader(settings))
        except KafkaError as error:
            raise BrokerError(
                f"{settings.bootstrap}: cannot start a consumer ({error}); look at the broker"
            ) from error

    async def _build_handler(
        self,
        producer: AIOKafkaProducer,
        device: Device,
        model: Model,
        required: TopicParameters,
        watch: SourceWatch,
        changelog: ChangelogCheck,
    ) -> ScoringHandler:
        settings = self._settings
        names = await _topics_of(settings, producer)
        publisher = Publisher(
            producer, settings.delivery_timeout_s, required.batch_bytes, settings.compression
        )
        self._pipeline = Pipeline(
            topics=names,
            limits=_limits_of(settings),
            make_users=self._users_of(required.partitions),
            placement=PlacementCheck(
                default_partitioner(required.partitions), self._metrics.checked_keys
            ),
            odd_times=OddTimes(settings.rules, time.monotonic),
            batcher=MicroBatcher(model.policy),
            device=device,
            publisher=publisher,
            store=self._store,
            fence=self._fence,
            metrics=self._metrics,
            may_write=self._lease.is_held,
        )
        options = client_options(settings)
        recovery = Recovery(
            self._store,
            settings.changelog_topic,
            options,
            self._metrics.recovery.observe,
            publisher,
            required.tombstones_ms,
        )
        repair = ScoreRepair(names, options, publisher, device, self._store, self._fence)
        return ScoringHandler(
            self._pipeline,
            recovery,
            repair,
            self._store,
            self._fence,
            names.scores,
            watch,
            changelog,
            partial(ensure_owner, settings),
        )

    def _users_of(self, partitions: int) -> MakeUsers:
        settings = self._settings
        validator = Validator(
            frozenset(self._accepted.names),
            settings.max_message_bytes,
            default_partitioner(partitions),
        )
        kind = NativeUsers if self._core == "native" else ReferenceUsers
        return lambda number, limit: kind(number, self._store, limit, validator, settings.rules)

    def _build_member(
        self, handler: ScoringHandler, partitions: int, instance_id: str
    ) -> GroupMember:
        settings = self._settings
        return GroupMember(
            build_app(settings, partitions, instance_id),
            settings.events_topic,
            handler,
            lease=self._lease,
            health=self._health,
            commits=self._metrics.commits,
            rebalances=self._metrics.rebalances,
        )

    def _start_services(
        self,
        member: GroupMember,
        producer: AIOKafkaProducer,
        reloader: Reloader,
        watch: SourceWatch,
        changelog: ChangelogCheck,
        url: str,
    ) -> "list[Task[None]]":
        settings, monitor, pipeline = self._settings, self._monitor, self._pipeline
        status = StatusLog(self._health, url, time.monotonic)
        services = (
            pipeline.run(),
            *member.services(settings.commit_interval_s),
            reloader.run(settings.artifact_poll_s, self.reload),
            monitor.update_gauges(pipeline, member.consumer, member.committed),
            monitor.follow_ends(pipeline, member.consumer, settings.events_topic),
            monitor.log_status(status, pipeline),
            monitor.measure_state(self._store, settings.state_dir),
            monitor.watch_broker(producer),
            monitor.watch_idle_ends(pipeline, member.consumer, self._fence, self._lease.is_held),
            watch.run(pipeline, member.consumer),
            changelog.run(),
            monitor.trim_heap(),
            ExpirySweep(pipeline, self._store, settings.ttl_s * 1000).run(),
        )
        return [asyncio.create_task(service) for service in services]

    def _log_start(self, model: Model, partitions: int) -> None:
        info, policy = model.scorer.info, model.policy
        _log.info(
            "worker starts",
            model=name_model(info),
            actions=",".join(self._accepted.names),
            partitions=partitions,
            batch_users=policy.close_users,
            batch_deadline_ms=self._settings.batch_deadline_ms,
            core=self._core,
        )


def _in_background(work: Coroutine[Any, Any, T], stack: AsyncExitStack) -> "Task[T]":
    """Begin this, to be awaited later; if nobody comes to that, its error counts no more."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    stack.callback(task.cancel)
    return task


async def _join(member: GroupMember, failed: "Future[None]") -> None:
    """Join the group; raises the error that the handler fails of, as when the group refuses us."""
    starting = asyncio.create_task(member.start())
    await asyncio.wait({starting, failed}, return_when=asyncio.FIRST_COMPLETED)
    if failed.done():
        starting.cancel()
        failed.result()
    await starting


async def _topics_of(settings: WorkerSettings, producer: AIOKafkaProducer) -> Topics:
    # All that are written to: a producer that asks only at its first write to a topic would take
    # a broker that does not answer for one that has no such topic.
    written = (
        settings.scores_topic,
        settings.changelog_topic,
        settings.dead_topic,
        settings.receipts_topic,
    )
    try:
        partitions = {topic: len(await producer.partitions_for(topic)) for topic in written}
    except KafkaError as error:
        raise BrokerError(
            f"{settings.bootstrap}: does not say where our topics are ({error!r}); look at the "
            "broker, and start the worker again"
        ) from error
    return Topics(
        settings.events_topic,
        settings.scores_topic,
        settings.dead_topic,
        partitions[settings.dead_topic],
        settings.receipts_topic,
        partitions[settings.receipts_topic],
        settings.changelog_topic,
        settings.group,
    )


def _limits_of(settings: WorkerSettings) -> Limits:
    return Limits(
        settings.max_pending_users,
        settings.max_in_flight,
        settings.cache_users,
        None if settings.shed_after_ms is None else settings.shed_after_ms / 1000,
        settings.forget_marker_s,
    )


def _load(settings: WorkerSettings, accepted: AcceptedActions) -> Model:
    from stream.worker.models.model_loading import (
        load_model,  # late, off the event loop: takes a second
    )

    return load_model(settings, accepted)
