"""The Faust consumer adapter: a member of a consumer group through Faust, without its event path.

Faust runs the group: membership, assignment, rebalances, lifecycle. Its per-event path, one task
and three turns of the event loop each, is bypassed: whole record lists go from its fetcher to the
listener, recovery reads in bulk, and commits are ours. Faust's private names are used here and in
`stream.group.faust_driver` alone; tests/stream/group/test_faust_contract.py fails when they change.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faust.types import TP

from stream.group.faust_driver import BulkRecovery, RebalanceListener, bulk_transport
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.client_internals import Refusal, fetch_commits, request_rejoin

_log = structlog.get_logger(__name__)


class FaustConsumer:
    """Consumes one topic through a Faust app that has one table, and feeds a listener.

    ``heartbeat_answered`` is called for each heartbeat that the group answered, with the time at
    which it was sent in seconds of ``time.monotonic``, and ``refused`` when the group does not have
    us (`stream.kafka.client_internals.report_refusals`), both on the consumer's thread.
    """

    def __init__(
        self,
        app: faust.App,
        topic: str,
        listener: RebalanceListener,
        heartbeat_answered: Callable[[float], None],
        refused: Callable[[Refusal], bool],
    ) -> None:
        self._app = app
        self._topic = topic
        self._listener = listener
        app.transport = bulk_transport(app, topic, listener, heartbeat_answered, refused)
        # Subscribes the consumer to the topic without an agent.
        app.topics.add(app.topic(topic, key_type=bytes, value_type=bytes))
        tables: Any = app.tables
        tables._recovery = BulkRecovery(
            app, tables, topic=topic, listener=listener, beacon=tables.beacon, loop=tables.loop
        )
        app.on_partitions_revoked.connect(self._on_revoked)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Join the group; returns before partitions are assigned."""
        self._app.finalize()
        await self._app.start()

    async def stop(self) -> None:
        """Leave the group; call after everything is finished and committed."""
        await self._app.stop()

    async def wait_until_stopped(self) -> BaseException | None:
        """Wait for Faust to end; the error that it ended of, None after `stop`."""
        await self._app.wait_until_stopped()
        return self._app.crash_reason if self._app.crashed else None

    def stop_flow(self) -> None:
        """Hand over no more records; those already fetched are dropped and read again later."""
        if self._app._consumer is not None:
            self._app._consumer.stop_flow()

    async def rejoin(self) -> None:
        """Make the group reassign our partitions: they are revoked, recovered and read again."""
        thread: Any = self._app.consumer._thread  # type: ignore[attr-defined]
        await thread.call_thread(request_rejoin, thread._ensure_consumer())

    async def commit(self, offsets: Mapping[int, OffsetMetadata]) -> bool:
        """Commit these offsets by partition; False if the partitions are no longer ours.

        Raises KafkaError when the broker cannot be reached or refuses.
        """
        consumer: Any = self._app.consumer
        thread = consumer._thread
        client = thread._ensure_consumer()
        wanted = {
            TopicPartition(self._topic, number): tuple(offset) for number, offset in offsets.items()
        }
        try:
            await thread.call_thread(client.commit, wanted)
        except (CommitFailedError, IllegalStateError) as error:
            _log.warning("offsets not committed: the group has moved on", error=str(error))
            return False
        return True

    async def fetch_committed(self, partitions: Iterable[int]) -> dict[int, OffsetMetadata | None]:
        """The group's commit of each of these partitions, as of now; raises KafkaError."""
        wanted = [TopicPartition(self._topic, number) for number in sorted(partitions)]
        thread: Any = self._app.consumer._thread  # type: ignore[attr-defined]
        found = await thread.call_thread(fetch_commits, thread._ensure_consumer(), wanted)
        return {tp.partition: _offset_metadata(found.get(tp)) for tp in wanted}

    async def fetch_ends(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """The end offsets of these partitions of any topics, as of now; raises KafkaError."""
        consumer: Any = self._app._consumer
        if consumer is None:
            return {}
        thread = consumer._thread
        wanted = [TopicPartition(topic, number) for topic, number in partitions]
        found = await thread.call_thread(thread._ensure_consumer().end_offsets, wanted)
        return {(tp.topic, tp.partition): end for tp, end in found.items()}

    def ends(self) -> dict[int, int]:
        """The end of each assigned partition as of its last fetch; none before the first."""
        consumer: Any = self._app._consumer
        if consumer is None:
            return {}
        try:
            assigned = consumer.assignment()
            ends = {tp.partition: consumer.end_of(tp) for tp in assigned if self._is_ours(tp)}
        except (KafkaError, faust.exceptions.FaustError):
            return {}  # the assignment is changing at this moment
        return {partition: end for partition, end in ends.items() if end is not None}

    def assigned_offsets(self) -> dict[int, int]:
        """The committed offset at which each assigned partition began; none if never committed."""
        consumer: Any = self._app._consumer
        if consumer is None:
            return {}
        committed = dict(consumer._committed_offset)
        return {tp.partition: o for tp, o in committed.items() if self._is_ours(tp) and o}

    def holds_other_partitions(self) -> bool:
        """Whether partitions are assigned, but none of our topic."""
        consumer: Any = self._app._consumer
        if consumer is None:
            return False
        try:
            assigned = consumer.assignment()
        except (KafkaError, faust.exceptions.FaustError):
            return False  # the assignment is changing at this moment
        return bool(assigned) and not any(self._is_ours(tp) for tp in assigned)

    def _is_ours(self, tp: TP) -> bool:
        return bool(tp.topic == self._topic)

    async def _on_revoked(self, app: Any, revoked: set[TP], **_: Any) -> None:
        if any(self._is_ours(tp) for tp in revoked):
            await self._listener.on_revoked()


def _offset_metadata(found: Any) -> OffsetMetadata | None:
    """From aiokafka's offset and metadata; the protocol has -1 for no commit."""
    return None if found is None or found.offset < 0 else OffsetMetadata(*found)
