"""The lease: held for a session from when an answered heartbeat was sent, and no longer."""

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

from aiokafka.producer import sender as aiokafka_sender

from stream.kafka.lease import Lease, gate_requests
from tests.stream.fakes import settle
from tests.stream.world import on_a_loop


class Clock:
    """Stands still until it is set."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_nobody_holds_it_before_the_first_answer() -> None:
    assert not Lease(10.0, Clock()).is_held()


def test_it_counts_from_when_the_heartbeat_was_sent_not_from_its_answer() -> None:
    clock = Clock()
    lease = Lease(10.0, clock)
    lease.renew(sent_s=95.0)

    clock.now_s = 104.9
    assert lease.is_held()
    clock.now_s = 105.0
    assert not lease.is_held()


def test_an_answer_that_comes_late_takes_nothing_away() -> None:
    clock = Clock()
    lease = Lease(10.0, clock)
    lease.renew(sent_s=99.0)
    lease.renew(sent_s=90.0)

    clock.now_s = 108.0
    assert lease.is_held()


class Sender:
    """Stands in for aiokafka's."""

    def __init__(self) -> None:
        self.sent: list[object] = []

    async def _send_produce_req(self, node_id: object, _batches: object) -> None:
        self.sent.append(node_id)


@on_a_loop
async def test_no_request_leaves_while_it_is_not_held() -> None:
    sender, ours = Sender(), [False]
    producer: Any = SimpleNamespace(_sender=sender)
    gate_requests(producer, lambda: ours[0])

    task = asyncio.create_task(producer._sender._send_produce_req(1, {}))
    await settle()
    assert sender.sent == []

    ours[0] = True
    await task
    assert sender.sent == [1]


def test_aiokafka_makes_its_requests_where_they_are_held_back() -> None:
    assert "self._send_produce_req(node_id" in inspect.getsource(
        aiokafka_sender.Sender._sender_routine
    )
    assert inspect.iscoroutinefunction(aiokafka_sender.Sender._send_produce_req)
