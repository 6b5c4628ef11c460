"""aiokafka's private names are still what stream/kafka expects.

When one of these fails, aiokafka has changed what stream.kafka.client_internals uses: review that
module before the pin moves.
"""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.consumer.group_coordinator import CoordinatorGroupRebalance, GroupCoordinator
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.producer.sender import SendProduceReqHandler

from stream.kafka.client_internals import _send_any
from tests.stream.world import on_a_loop


def source(function: Callable[..., Any]) -> str:
    return inspect.getsource(function)


@pytest.mark.parametrize(
    "function",
    [
        GroupCoordinator._do_heartbeat,
        GroupCoordinator._send_req,
        GroupCoordinator.fetch_committed_offsets,
        AIOKafkaConsumer.end_offsets,
        AIOKafkaClient._get_conn,
    ],
    ids=lambda function: function.__qualname__,
)
def test_what_is_awaited_is_a_coroutine(function: Callable[..., Any]) -> None:
    assert inspect.iscoroutinefunction(function)


def test_every_request_asks_for_its_connection_and_none_is_a_failure() -> None:
    assert "await self._get_conn(node_id, group=group)" in source(AIOKafkaClient.ready)
    assert "return conn is not None" in source(AIOKafkaClient.ready)
    assert "return None" in source(AIOKafkaClient._get_conn)
    assert "self._client = AIOKafkaClient(" in source(AIOKafkaConsumer.__init__)


def test_heartbeats_go_through_the_one_method_that_the_adapter_wraps() -> None:
    assert "await self._do_heartbeat()" in source(GroupCoordinator._heartbeat_routine)


def test_heartbeats_and_joins_are_sent_by_the_one_method_that_the_adapter_wraps() -> None:
    assert "await self._send_req(request)" in source(GroupCoordinator._do_heartbeat)
    assert "await self._coordinator._send_req(request)" in source(CoordinatorGroupRebalance)


def test_the_consumer_makes_its_fetcher_with_the_isolation_that_it_was_given() -> None:
    assert "isolation_level=self._isolation_level" in source(AIOKafkaConsumer.start)


@on_a_loop
async def test_an_assignment_tells_how_far_its_partitions_are_read() -> None:
    tp = TopicPartition("lately.events", 0)
    assignment = Assignment([tp])
    assert assignment.all_consumed_offsets() == {}
    assignment.state_value(tp).seek(7)

    assert assignment.all_consumed_offsets()[tp].offset == 7


def test_a_rejoin_that_is_requested_ends_the_wait_of_the_coordinator() -> None:
    waiting: Any = vars(GroupCoordinator)["_GroupCoordinator__coordination_routine"]

    assert "futures.append(self._rejoin_needed_fut)" in source(waiting)
    assert "self._rejoin_needed_fut.set_result" in source(GroupCoordinator.request_rejoin)


def test_a_produce_request_is_sent_by_the_one_method_that_is_replaced() -> None:
    assert "await self._client.send(node_id, request)" in source(SendProduceReqHandler.do)
    assert "self._conns[(node_id, group)].send(" in source(AIOKafkaClient.send)
    assert "expect_response = False" in source(AIOKafkaClient.send)  # where nothing is acknowledged


@pytest.mark.parametrize(
    "line",
    [
        "request.prepare(self._versions)",
        "self._next_correlation_id()",
        "message = header.encode() + request_struct.encode()",
        'size = struct.pack(">i", len(message))',
        "self._writer.write(size + message)",
        "self.close(reason=CloseReason.CONNECTION_BROKEN)",
        "(correlation_id, request_struct, fut),",
        "return wait_for(fut, self._request_timeout)",
    ],
)
def test_a_connection_sends_as_the_copy_of_it_does(line: str) -> None:
    assert line in source(_send_any)
    assert _send_any.__qualname__ == AIOKafkaConnection.__name__ + ".send"
