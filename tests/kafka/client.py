"""The client: makes topics, produces, and reads topics and groups back, from plain code."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import CommitFailedError, GroupCoordinatorNotAvailableError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.admin import DeleteGroupsRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from stream.kafka.fetching.lenient_headers import read_any_header
from tests.kafka.message import BinaryName, Message
from tests.kafka.process import wait_until
from tests.oracle.record import Record

T = TypeVar("T")
CALL_S = 60.0
LAX_BATCH_BYTES = 1 << 18
CHUNK = 200  # messages produced between two looks at the clock


class Client:
    """One connection to the broker, on an event loop in a thread of its own."""

    def __init__(self, bootstrap: str, replication: int = 1) -> None:
        self.bootstrap = bootstrap
        self._replication = replication
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._admin: AIOKafkaAdminClient = self._call(self._connect())

    async def _connect(self) -> AIOKafkaAdminClient:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            enable_idempotence=True,
            max_batch_size=1 << 18,
            max_request_size=4 << 20,
        )
        await self._producer.start()
        self._lax_producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await self._lax_producer.start()
        self._ends_reader = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        self._ends_lock = asyncio.Lock()
        await self._ends_reader.start()
        return admin

    def close(self) -> None:
        """Hang up."""
        self._call(self._producer.stop())
        self._call(self._lax_producer.stop())
        self._call(self._ends_reader.stop())
        self._call(self._admin.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_S)
        self._loop.close()

    def _call(self, job: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result(CALL_S)

    def create_topic(self, name: str, partitions: int, **configs: str) -> None:
        """Make a topic; ``cleanup_policy="compact"`` becomes ``cleanup.policy=compact``."""
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        topic = NewTopic(name, partitions, self._replication, topic_configs=settings)
        self._call(self._admin.create_topics([topic]))

    def create_topic_on(self, name: str, leaders: Sequence[int], **configs: str) -> None:
        """Make a topic with one replica of each partition, on these brokers."""
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        replicas = {number: [broker] for number, broker in enumerate(leaders)}
        topic = NewTopic(name, -1, -1, replica_assignments=replicas, topic_configs=settings)
        self._call(self._admin.create_topics([topic]))

    def delete_topics(self, *names: str) -> None:
        """Remove topics."""
        self._call(self._admin.delete_topics(list(names)))

    def delete_group(self, group: str) -> None:
        """Remove a group that has no members, once the broker has noticed that it has none."""
        request = DeleteGroupsRequest([group])

        async def delete() -> int:
            node = await self._admin.find_coordinator(group)
            answer = await self._admin._send_request(request, node)
            return int(answer.results[0][1])

        assert wait_until(lambda: self._call(delete()) == 0, CALL_S), f"{group} is not deleted"

    def join(self, group: str, topic: str) -> Callable[[], None]:
        """Join a group as a plain consumer does; call what comes back to leave it."""

        async def start() -> AIOKafkaConsumer:
            consumer = AIOKafkaConsumer(topic, bootstrap_servers=self.bootstrap, group_id=group)
            await consumer.start()
            return consumer

        consumer = self._call(start())
        return lambda: self._call(consumer.stop())

    def brokers(self) -> int:
        """How many brokers the cluster says that it has."""
        return len(self._call(self._admin.describe_cluster())["brokers"])

    def grow_topic(self, name: str, partitions: int) -> None:
        """Give a topic more partitions."""
        self._call(self._admin.create_partitions({name: NewPartitions(partitions)}))

    def alter_topic(self, name: str, **configs: str) -> None:
        """Set configurations of a topic, named as `create_topic` has them."""
        settings = {key.replace("_", "."): value for key, value in configs.items()}
        resource = ConfigResource(ConfigResourceType.TOPIC, name, settings)
        self._call(self._admin.alter_configs([resource]))

    def delete_records(self, topic: str, before: dict[int, int]) -> None:
        """Delete the records of these partitions below an offset."""
        wanted = {
            TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)
            for partition, offset in before.items()
        }
        self._call(self._admin.delete_records(wanted))

    def topics(self) -> set[str]:
        """The names of all topics."""
        names: list[str] = self._call(self._admin.list_topics())
        return set(names)

    def produce(self, topic: str, messages: Sequence[Message]) -> None:
        """Write messages, in order within each partition; returns once all are acknowledged."""
        self._call(self._produce(topic, messages, None))

    def produce_at(self, topic: str, messages: Sequence[Message], per_s: float) -> "Future[None]":
        """Write messages at a steady pace in the background."""
        job = self._produce(topic, messages, per_s)
        return asyncio.run_coroutine_threadsafe(job, self._loop)

    def transact(self, topic: str, messages: Sequence[Message]) -> Callable[[bool], None]:
        """Write messages in a transaction; call what comes back with whether it is committed."""
        producer = self._call(self._begin(topic, messages))
        return lambda commit: self._call(self._end(producer, commit))

    async def _begin(self, topic: str, messages: Sequence[Message]) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, transactional_id=f"transaction-{uuid4().hex}"
        )
        await producer.start()
        await producer.begin_transaction()
        for partition, ts_ms, key, value, headers in messages:
            await producer.send_and_wait(topic, value, key, partition, ts_ms, headers)
        return producer

    async def _end(self, producer: AIOKafkaProducer, commit: bool) -> None:
        await (producer.commit_transaction() if commit else producer.abort_transaction())
        await producer.stop()

    async def _produce(self, topic: str, messages: Sequence[Message], per_s: float | None) -> None:
        chunk = CHUNK if per_s else len(messages) or 1
        for start in range(0, len(messages), chunk):
            by_partition: dict[int, list[Message]] = defaultdict(list)
            for message in messages[start : start + chunk]:
                by_partition[message.partition].append(message)
            for partition, its_messages in by_partition.items():
                await self._produce_to(topic, partition, its_messages)
            if per_s:
                await asyncio.sleep(chunk / per_s)

    async def _produce_to(self, topic: str, partition: int, messages: list[Message]) -> None:
        # By batches of our own: send() refuses a record that has neither key nor value.
        lax = any(isinstance(name, BinaryName) for m in messages for name, _ in m.headers)
        producer = self._lax_producer if lax else self._producer
        new_batch = _lax_batch if lax else producer.create_batch
        sent, batch = [], new_batch()
        for m in messages:
            fields = {"key": m.key, "value": m.value, "timestamp": m.timestamp_ms}
            if batch.append(**fields, headers=list(m.headers)) is None:
                sent.append(await producer.send_batch(batch, topic, partition=partition))
                batch = new_batch()
                batch.append(**fields, headers=list(m.headers))
        sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)

    def read(self, topic: str, timeout_s: float = CALL_S) -> list[Record]:
        """All records that stand in a topic now, each partition in offset order."""
        return asyncio.run_coroutine_threadsafe(self._read(topic), self._loop).result(timeout_s)

    async def _read(self, topic: str) -> list[Record]:
        read_any_header()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.bootstrap,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 << 20,
            isolation_level="read_committed",
        )
        await consumer.start()
        try:
            partitions = await self._partitions(consumer, topic)
            consumer.assign(partitions)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            records: list[Record] = []
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for found in (await consumer.getmany(timeout_ms=1000)).values():
                    records += [
                        Record(r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
                        for r in found
                    ]
            return records
        finally:
            await consumer.stop()

    async def _partitions(self, consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
        await consumer._client.set_topics([topic])
        if consumer.partitions_for_topic(topic) is None:  # it may have been made since it was asked
            await consumer._client.force_metadata_update()
        found = consumer.partitions_for_topic(topic)
        return [TopicPartition(topic, partition) for partition in sorted(found or ())]

    def ends(self, topic: str) -> dict[int, int]:
        """The log end offset of each partition."""
        return self._call(self._ends(topic))

    async def _ends(self, topic: str) -> dict[int, int]:
        # Tests poll this: a connection for each call would take a tenth of a core.
        async with self._ends_lock:
            partitions = await self._partitions(self._ends_reader, topic)
            ends = await self._ends_reader.end_offsets(partitions)
            return {tp.partition: end for tp, end in ends.items()}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """The group's committed offset of each partition that has one."""
        return {number: offset for number, (offset, _) in self.commits(group, topic).items()}

    def set_offsets(self, group: str, topic: str, offsets: dict[int, int]) -> None:
        """Commit these offsets for a group, as Kafka's own tool does, once it has no members."""
        tps = {TopicPartition(topic, number): offset for number, offset in offsets.items()}

        async def commit() -> bool:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.bootstrap, group_id=group, enable_auto_commit=False
            )
            await consumer.start()
            try:
                consumer.assign(list(tps))
                await consumer.commit(tps)
            except CommitFailedError:
                return False
            finally:
                await consumer.stop()
            return True

        assert wait_until(lambda: self._call(commit()), CALL_S), f"{group} has members"

    def commits(self, group: str, topic: str) -> dict[int, tuple[int, str]]:
        """The committed offset of each partition that has one, with its metadata."""
        try:
            offsets = self._call(self._admin.list_consumer_group_offsets(group))
        except GroupCoordinatorNotAvailableError:  # no group has ever joined this broker
            return {}
        return {
            tp.partition: (found.offset, found.metadata)
            for tp, found in offsets.items()
            if tp.topic == topic and found.offset >= 0
        }


def _lax_batch() -> BatchBuilder:
    """A batch that takes any header name, for a producer that is not idempotent."""
    batch = BatchBuilder(LAX_BATCH_BYTES, 0)
    batch._builder = _DefaultRecordBatchBuilderPy(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=LAX_BATCH_BYTES,
    )
    return batch
