"""What a consumer has consumed is empty until it has a subscription and an assignment."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.kafka.consumer_internals import consumed_offsets

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
