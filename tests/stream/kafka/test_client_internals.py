"""What a consumer has consumed is empty until it has a subscription and an assignment."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.structs import OffsetAndMetadata

from stream.kafka.client_internals import (
    MAX_RECONNECT_S,
    MIN_RECONNECT_S,
    consumed_offsets,
    report_refusals,
    space_reconnects,
)
from tests.stream.fakes import settle
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


@pytest.mark.parametrize(
    ("code", "at_heartbeat", "refusals"),
    [
        (0, True, []),
        (27, True, []),  # the group rebalances
        (25, True, ["unknown"]),
        (25, False, []),  # a join that comes too late is made again
        (82, True, ["replaced"]),
        (82, False, ["replaced"]),
        (23, False, ["protocol"]),
    ],
)
def test_what_the_coordinator_refuses_for_good_is_reported(
    code: int, at_heartbeat: bool, refusals: list[str]
) -> None:
    answer = SimpleNamespace(error_code=code)

    async def send(request: Any) -> Any:
        return answer

    @on_a_loop
    async def scenario() -> None:
        coordinator = SimpleNamespace(_send_req=send)
        found: list[str] = []

        def refused(refusal: str) -> bool:
            found.append(refusal)
            return False

        report_refusals(SimpleNamespace(_coordinator=coordinator), refused)
        request = HeartbeatRequest("group", 1, "member") if at_heartbeat else object()

        assert await coordinator._send_req(request) is answer
        assert found == refusals

    scenario()


@on_a_loop
async def test_an_answer_without_an_error_code_refuses_nothing() -> None:
    async def send(request: Any) -> Any:
        return SimpleNamespace(topics=[])

    coordinator = SimpleNamespace(_send_req=send)
    report_refusals(SimpleNamespace(_coordinator=coordinator), lambda refusal: bool(1 / 0))

    await coordinator._send_req(object())


@on_a_loop
async def test_who_ends_of_a_refusal_does_not_join_again() -> None:
    async def send(request: Any) -> Any:
        return SimpleNamespace(error_code=82)

    coordinator = SimpleNamespace(_send_req=send)
    report_refusals(SimpleNamespace(_coordinator=coordinator), lambda refusal: True)
    sending = asyncio.create_task(coordinator._send_req(object()))
    await settle()

    assert not sending.done()
    sending.cancel()
