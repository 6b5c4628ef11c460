"""Our records follow one another where only we write; who stands between is seen."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata

from stream.errors import FencedError
from stream.kafka.producer import Delivery
from stream.kafka.write_fence import Succession
from tests.stream.world import on_a_loop

SCORES = ("scores", 3)


def sent(*offsets: int, records: int = 2) -> list[Delivery]:
    """Batches of so many records each, acknowledged at these offsets."""
    deliveries = []
    for offset in offsets:
        answer: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        place = TopicPartition("scores", 3)
        answer.set_result(RecordMetadata("scores", 3, place, offset, None, 0, 0))
        deliveries.append(Delivery(records, answer))
    return deliveries


@on_a_loop
async def test_records_that_follow_one_another_are_ours() -> None:
    succession = Succession()
    succession.start_over({SCORES: 10})
    succession.follow("scores", sent(10, 12))
    succession.follow("scores", [])
    succession.follow("scores", sent(14))

    assert succession.ends("scores") == {3: 16}
    assert succession.ends("changelog") == {}


@on_a_loop
async def test_a_record_between_ours_is_somebody_elses() -> None:
    succession = Succession()
    succession.follow("scores", sent(10))  # the first says where we begin

    with pytest.raises(FencedError, match="scores: somebody else wrote to partition 3 before offs"):
        succession.follow("scores", sent(13))
    assert succession.ends("scores") == {3: 12}  # the next owner must look behind that


@on_a_loop
async def test_a_record_before_our_first_one_is_seen_where_the_end_was_known() -> None:
    succession = Succession()
    succession.start_over({SCORES: 10})

    with pytest.raises(FencedError):
        succession.follow("scores", sent(11))


@on_a_loop
async def test_where_the_broker_forgot_a_place_the_next_one_begins_anew() -> None:
    succession = Succession()
    succession.start_over({SCORES: 10})
    succession.follow("scores", sent(-1))  # Kafka's answer to a request that it has had before
    assert succession.ends("scores") == {}

    succession.follow("scores", sent(40))
    assert succession.ends("scores") == {3: 42}


@on_a_loop
async def test_a_partition_is_at_rest_when_nothing_is_on_its_way() -> None:
    succession = Succession()
    succession.start_over({SCORES: 10, ("changelog", 3): 7})
    succession.sends(*SCORES)
    succession.sends(*SCORES)
    succession.follow("scores", sent(10))
    assert succession.at_rest() == {("changelog", 3): 7}

    succession.follow("scores", sent(12))
    assert succession.at_rest() == {("changelog", 3): 7, SCORES: 14}
