"""What a consumer has consumed is empty until it has a subscription and an assignment."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.kafka.consumer_internals import (
    MAX_RECONNECT_S,
    MIN_RECONNECT_S,
    consumed_offsets,
    space_reconnects,
)
from tests.stream.world import on_a_loop

EVENTS = TopicPartition("events", 0)


def consumer(subscription: Any) -> Any:
    return SimpleNamespace(_subscription=SimpleNamespace(subscription=subscription))


@pytest.mark.parametrize("subscription", [None, SimpleNamespace(assignment=None)])
def test_before_an_assignment_nothing_is_consumed(subscription: Any) -> None:
    assert consumed_offsets(consumer(subscription)) == {}


def test_an_assigned_partition_is_consumed_up_to_its_position() -> None:
    assignment = SimpleNamespace(
        all_consumed_offsets=lambda: {EVENTS: OffsetAndMetadata(7, "")},
    )

    assert consumed_offsets(consumer(SimpleNamespace(assignment=assignment))) == {EVENTS: 7}


class Client:
    """A client whose brokers answer or not; time passes only while it sleeps."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.gone: set[int] = set()
        self.attempts_s: list[float] = []
        self.sleeps_s: list[float] = []
        space_reconnects(self, lambda: self.now_s, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.sleeps_s.append(seconds)
        await asyncio.sleep(0)
        self.now_s += seconds

    async def _get_conn(self, node: int, *, group: str = "default") -> str | None:
        self.attempts_s.append(self.now_s)
        await asyncio.sleep(0)
        return None if node in self.gone else f"{node} {group}"


@on_a_loop
async def test_attempts_at_a_broker_that_is_gone_wait_ever_longer_up_to_a_second() -> None:
    client = Client()
    client.gone = {1}
    for _ in range(8):
        assert await client._get_conn(1) is None

    doubled = [MIN_RECONNECT_S * 2**n for n in range(4)]  # 0.1, 0.2, 0.4, 0.8
    assert client.sleeps_s == pytest.approx([*doubled, *[MAX_RECONNECT_S] * 3])


@on_a_loop
async def test_a_broker_that_is_back_is_reached_without_a_wait_and_begins_anew() -> None:
    client = Client()
    client.gone = {1}
    for _ in range(4):
        await client._get_conn(1)
    client.gone = set()

    assert await client._get_conn(1, group="coordinator") == "1 coordinator"
    client.sleeps_s.clear()
    assert await client._get_conn(1) == "1 default"
    client.gone = {1}
    await client._get_conn(1)
    await client._get_conn(1)
    assert client.sleeps_s == pytest.approx([MIN_RECONNECT_S])


@on_a_loop
async def test_other_brokers_do_not_wait_for_the_one_that_is_gone() -> None:
    client = Client()
    client.gone = {1}
    for _ in range(3):
        await client._get_conn(1)
    client.sleeps_s.clear()

    assert await client._get_conn(2) == "2 default"
    assert client.sleeps_s == []


@on_a_loop
async def test_attempts_that_fail_at_the_same_time_count_once() -> None:
    client = Client()
    client.gone = {1}
    await asyncio.gather(*(client._get_conn(1) for _ in range(5)))
    await client._get_conn(1)

    assert client.sleeps_s == pytest.approx([MIN_RECONNECT_S])
