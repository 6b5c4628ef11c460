"""Records of ours are contiguous where only we write; a foreign record between them is seen."""

import asyncio

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata

from stream.errors import FencedError, OtherGroupError
from stream.kafka.producer import Delivery
from stream.kafka.write_fence import TOLERATED_S, WriteFence
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
async def test_contiguous_records_are_ours() -> None:
    fence = WriteFence()
    fence.reset({SCORES: 10})
    fence.acknowledged("scores", sent(10, 12))
    fence.acknowledged("scores", [])
    fence.acknowledged("scores", sent(14))

    assert fence.ends("scores") == {3: 16}
    assert fence.ends("changelog") == {}


@on_a_loop
async def test_a_record_between_ours_is_a_foreign_write() -> None:
    fence = WriteFence()
    fence.acknowledged("scores", sent(10))  # the first batch fixes the expected offset

    with pytest.raises(
        FencedError, match="scores: another writer appended to partition 3 before offs"
    ):
        fence.acknowledged("scores", sent(13))
    assert fence.ends("scores") == {3: 12}  # the next owner must read from there


@on_a_loop
async def test_a_record_before_our_first_one_is_seen_if_the_end_was_known() -> None:
    fence = WriteFence()
    fence.reset({SCORES: 10})

    with pytest.raises(FencedError):
        fence.acknowledged("scores", sent(11))


@on_a_loop
async def test_after_an_unknown_offset_the_next_batch_starts_over() -> None:
    fence = WriteFence()
    fence.reset({SCORES: 10})
    fence.acknowledged(
        "scores", sent(-1)
    )  # Kafka's answer to a retry whose offset it no longer knows
    assert fence.ends("scores") == {}

    fence.acknowledged("scores", sent(40))
    assert fence.ends("scores") == {3: 42}


@on_a_loop
async def test_a_partition_is_idle_when_nothing_is_in_flight() -> None:
    fence = WriteFence()
    fence.reset({SCORES: 10, ("changelog", 3): 7})
    fence.sending(*SCORES)
    fence.sending(*SCORES)
    fence.acknowledged("scores", sent(10))
    assert fence.idle_ends() == {("changelog", 3): 7}

    fence.acknowledged("scores", sent(12))
    assert fence.idle_ends() == {("changelog", 3): 7, SCORES: 14}


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@on_a_loop
async def test_beside_a_tolerated_group_we_go_on_and_repair_it_later() -> None:
    clock = Clock()
    fence = WriteFence(clock)
    fence.reset({SCORES: 10, ("scores", 4): 7})
    fence.tolerate("scores")
    fence.acknowledged("scores", sent(10))
    fence.acknowledged("scores", sent(15))  # 12 to 14 are theirs
    fence.acknowledged("scores", sent(20))
    assert fence.note_foreign(("scores", 4), 9)

    # The next assignment reads from before the first of theirs.
    assert fence.ends("scores") == {3: 12, 4: 7}
    assert fence.idle_ends() == {SCORES: 22, ("scores", 4): 9}
    assert fence.overdue() is None
    clock.now_s = TOLERATED_S
    assert isinstance(fence.overdue(), OtherGroupError)
    with pytest.raises(FencedError):
        fence.acknowledged("scores", sent(30))


@on_a_loop
async def test_only_the_topic_of_a_tolerated_group_is_tolerated_until_the_next_assignment() -> None:
    fence = WriteFence(Clock())
    fence.reset({("changelog", 3): 10, SCORES: 5})
    fence.tolerate("scores")
    assert not fence.note_foreign(("changelog", 3), 12)

    fence.reset({SCORES: 10})
    assert not fence.note_foreign(SCORES, 12)
    assert fence.overdue() is None
