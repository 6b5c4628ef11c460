"""The worker: puts the parts together, starts them in order, and ends them in order."""

import asyncio
import logging
import signal
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from prometheus_client import CollectorRegistry

from stream.addresses import Address
from stream.errors import BrokerError, DamagedState, FencedError, LatelyError
from stream.events import Message, Validator
from stream.group.committer import Committer
from stream.group.faust_app import build_app, instance_id_of
from stream.group.faust_consumer import Lane
from stream.group.rejoin import Retaking
from stream.group.score_repair import Amends
from stream.health import Health
from stream.kafka import topics
from stream.kafka.connection_errors import AUTHORIZATION_ERRORS, authorization_message
from stream.kafka.lease import Lease, hold_back
from stream.kafka.producer import Publisher
from stream.kafka.security import client_options
from stream.kafka.write_fence import Succession
from stream.metrics import Metrics
from stream.pipeline.batcher import BatchPolicy, MicroBatcher
from stream.pipeline.delivery import Topics
from stream.pipeline.limits import Limits
from stream.pipeline.pipeline import Pipeline
from stream.pipeline.scoring import Device
from stream.settings import WorkerSettings
from stream.storage.recovery import Recovery
from stream.storage.store import StateStore
from stream.worker.http import HealthServer
from stream.worker.model_reload import Model, Reloader
from stream.worker.monitor import Lookout

if TYPE_CHECKING:
    from asyncio import Task

REVOKE_DRAIN_S = 20.0  # well below the time that the group gives us to join again
LOST_SETTLE_S = 2.0  # for what was sent before, when partitions are lost already
LEAVE_S = 2.0  # to say good-bye to the group, once everything is committed
_log = structlog.get_logger(__name__)


class Worker:
    """One worker process: starts, serves until stopped, drains."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._metrics = Metrics(CollectorRegistry())
        self._health = Health(time.monotonic())
        self._lease = Lease(settings.session_timeout_s)
        self._succession = Succession()
        self._store = StateStore(
            settings.state_dir / settings.group, lambda cause: self._metrics.rebuilds[cause].inc()
        )
        self._stop = asyncio.Event()
        self._look_at_artifact = asyncio.Event()
        self._pipeline: Pipeline
        self._lane: Lane
        self._committer: Committer
        self._recovery: Recovery
        self._amends: Amends
        self._producer: AIOKafkaProducer

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then finish what is on its way and commit it.

        Raises LatelyError, and whatever Faust or aiokafka ended of; then nothing is committed
        beyond what was safe.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._look_at_artifact.set)
        async with AsyncExitStack() as stack:
            starting = asyncio.create_task(self._start(stack))
            serving = await self._until_stopped(starting)
            if serving is None:
                return
            await self._serve(serving)

    # --- start -----------------------------------------------------------------------------------

    async def _until_stopped(self, starting: "Task[list[Task[None]]]") -> "list[Task[None]] | None":
        """Wait for the start to be done; None if we are to stop before it is."""
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            return starting.result()
        starting.cancel()
        _log.info("stopped before the worker had started")
        logging.disable()  # what aiokafka says of connections cut short helps nobody
        return None

    async def _start(self, stack: AsyncExitStack) -> "list[Task[None]]":
        """Start everything, in the order in which each needs the one before."""
        settings = self._settings
        self._store.lock()
        stack.callback(self._store.close_all)
        await self._serve_http(stack)
        reloader = Reloader(
            settings.artifact,
            lambda: _load(settings),
            lambda model: self._pipeline.serve(*model),
            self._metrics,
        )
        scorer, policy = await asyncio.to_thread(reloader.start)
        self._health.set_ok("model")
        self._metrics.set_model(scorer.info.name, scorer.info.version, scorer.info.device)
        required = await topics.ensure_topics(settings)
        self._producer = await self._start_producer(stack)
        ours = await self._name_topics()
        device = Device(scorer, settings.scoring_timeout_s)
        stack.callback(device.close)
        self._build_pipeline(device, policy, required, ours)
        instance_id = settings.instance_id or instance_id_of(settings.state_dir)
        app = build_app(settings, required.partitions, instance_id)
        self._lane = Lane(app, settings.events_topic, self, self._lease.renew)
        _log.info(
            "worker starts",
            model=f"{scorer.info.name} {scorer.info.version} on {scorer.info.device}",
            partitions=required.partitions,
            batch_users=policy.close_users,
            batch_deadline_ms=settings.batch_deadline_ms,
        )
        self._committer = Committer(
            self._pipeline, self._lane, self._succession, ours.scores, self._metrics
        )
        lookout = Lookout(self._health, self._metrics)
        self._health.set_ok("worker")
        await self._lane.start()
        services = (
            self._pipeline.run(),
            self._committer.run(settings.commit_interval_s),
            reloader.run(settings.artifact_poll_s, self._look_at_artifact),
            lookout.look(self._pipeline, self._lane),
            lookout.watch_broker(self._producer),
            lookout.watch_for_others(
                self._pipeline, self._lane, self._succession, self._lease.held
            ),
            lookout.keep_memory_low(),
            Retaking(self._pipeline, self._lane, self._health).run(),
        )
        return [asyncio.create_task(service) for service in services]

    async def _serve_http(self, stack: AsyncExitStack) -> None:
        address = Address.parse(self._settings.http)
        server = HealthServer(address, self._health, self._metrics)
        await server.start()
        stack.push_async_callback(server.stop)
        heart = asyncio.create_task(Lookout(self._health, self._metrics).beat())
        stack.callback(heart.cancel)

    async def _start_producer(self, stack: AsyncExitStack) -> AIOKafkaProducer:
        settings = self._settings
        producer = AIOKafkaProducer(
            **client_options(settings),
            acks="all",
            enable_idempotence=settings.idempotence,
            compression_type=None if settings.compression == "none" else settings.compression,
            max_batch_size=1_000_000,
            max_request_size=16 << 20,
            request_timeout_ms=int(settings.delivery_timeout_s * 1000),
        )
        try:
            await producer.start()
        except KafkaError as error:
            raise BrokerError(
                f"{settings.bootstrap}: cannot start a producer ({error}); look at the broker"
            ) from error
        hold_back(producer, self._lease.held)
        self._health.set_ok("broker")
        return producer

    async def _name_topics(self) -> Topics:
        """Our topics, with the number of partitions of those that may have any."""
        settings, producer = self._settings, self._producer
        return Topics(
            settings.events_topic,
            settings.scores_topic,
            settings.dead_topic,
            len(await producer.partitions_for(settings.dead_topic)),
            settings.receipts_topic,
            len(await producer.partitions_for(settings.receipts_topic)),
            settings.changelog_topic,
            settings.group,
        )

    def _build_pipeline(
        self, device: Device, policy: BatchPolicy, required: topics.TopicParameters, ours: Topics
    ) -> None:
        settings = self._settings
        numbers, partitioner = list(range(required.partitions)), DefaultPartitioner()
        self._recovery = Recovery(
            self._store,
            settings.changelog_topic,
            client_options(settings),
            self._metrics.recovery.observe,
            publisher := Publisher(self._producer),
            required.tombstones_ms,
        )
        self._amends = Amends(
            ours, client_options(settings), publisher, device, self._store, self._succession
        )
        self._pipeline = Pipeline(
            topics=ours,
            limits=Limits(
                settings.max_pending_users,
                settings.max_in_flight,
                settings.cache_users,
                None if settings.shed_after_ms is None else settings.shed_after_ms / 1000,
                settings.forget_marker_s,
            ),
            rules=settings.rules,
            validator=Validator(
                frozenset(settings.actions),
                settings.max_message_bytes,
                lambda key: int(partitioner(key, numbers, numbers)),
            ),
            batcher=MicroBatcher(policy),
            device=device,
            publisher=publisher,
            store=self._store,
            succession=self._succession,
            metrics=self._metrics,
            may_write=self._lease.held,
        )

    # --- the sink of the lane ------------------------------------------------------------------

    async def recover(self, partitions: frozenset[int]) -> None:
        """Bring the state of our partitions up to date, and take them on."""
        if partitions:
            self._health.set_ok("partitions")
        else:
            self._health.set_failed("partitions", "the group has more workers than partitions")
        self._store.close_others(partitions)
        try:
            commits = await self._lane.commits(partitions)
            tails, _ = await asyncio.gather(
                self._amends.read(commits), self._recovery.recover(partitions)
            )
            await self._amends.make(tails)
            self._pipeline.assign(partitions)
        except AUTHORIZATION_ERRORS as error:
            # Not raised here: Faust would write of a crash of its own.
            self._pipeline.give_up(BrokerError(authorization_message(error)))
        except FencedError as error:
            self._pipeline.let_go(error)
        except LatelyError as error:
            self._pipeline.give_up(error)
        else:
            self._committer.start_over()
            self._health.set_ok("state")

    async def ingest(self, partition: int, messages: Sequence[Message]) -> None:
        """Take fetched records."""
        await self._pipeline.ingest(partition, messages)

    async def revoke(self) -> None:
        """Finish and commit what can be, then let go of the partitions."""
        self._health.set_failed("partitions", "the group rebalances")
        self._health.set_failed("state", "the state is not recovered since the last rebalance")
        ours = self._lease.held()
        budget_s = REVOKE_DRAIN_S if ours else LOST_SETTLE_S
        deadline_s = time.monotonic() + budget_s
        if ours:
            await self._drain(budget_s)
        else:  # another may have them by now: nothing that waits may be finished
            _log.warning("partitions lost: no heartbeat was answered for a session time-out")
        self._pipeline.revoke()
        self._succession.start_over({})  # from now on the next owner may write there
        if not await self._pipeline.settle(max(0.0, deadline_s - time.monotonic())):
            # What is on its way could arrive after the new owner's, and win. A producer that is no
            # more sends nothing.
            self._pipeline.give_up(
                LatelyError(
                    f"partitions are revoked, and the broker has not acknowledged our batches for "
                    f"{budget_s:g} s; start the worker again, the events come again"
                )
            )

    # --- serve -----------------------------------------------------------------------------------

    async def _serve(self, tasks: "list[Task[None]]") -> None:
        """Wait for the end, whatever it is; drain if it is a friendly one."""
        stopping = asyncio.create_task(self._stop.wait())
        faust = asyncio.create_task(self._lane.wait_until_stopped())
        ends: list[asyncio.Future[Any]] = [stopping, faust, self._pipeline.failed, *tasks]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        self._health.set_failed("worker", "the worker stops")
        self._lane.stop_flow()
        error = _first_error(self._pipeline.failed, *tasks)
        if error is None and faust.done():
            error = faust.result() or LatelyError("Faust ended by itself; see the log above")
        if isinstance(error, DamagedState):
            self._store.wipe(error.partition, "corrupt")
        if error is None:
            drained = await self._drain(self._settings.drain_timeout_s)
            _log.info("stopped", drained=drained)
        for task in (*tasks, stopping, faust):
            task.cancel()
        if error is not None:
            raise error
        with suppress(TimeoutError, Exception):
            async with asyncio.timeout(LEAVE_S):
                await self._lane.stop()

    async def _drain(self, budget_s: float) -> bool:
        """Finish and commit, within the budget; what is not done comes again."""
        deadline_s = time.monotonic() + budget_s
        drained = await self._pipeline.drain(budget_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.5, deadline_s - time.monotonic())):
                await self._committer.commit()
        return drained


def _first_error(*futures: "asyncio.Future[None]") -> BaseException | None:
    for future in futures:
        if future.done() and not future.cancelled() and future.exception() is not None:
            return future.exception()
    return None


def _load(settings: WorkerSettings) -> Model:
    from stream.worker.model_loading import (
        load_model,  # late, and off the event loop: it takes a second
    )

    return load_model(settings)
