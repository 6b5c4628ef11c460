"""What we need of aiokafka's consumer that it keeps private.

tests/stream/kafka/test_aiokafka_contract.py fails when aiokafka changes what is used here. Every
function that awaits must run on the consumer's own event loop.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

Consumer = Any  # aiokafka has no types


def set_fetch_options(consumer: Consumer, max_wait_ms: int, isolation_level: str) -> None:
    """Change options of a consumer that somebody else constructs; call before it starts."""
    consumer._fetch_max_wait_ms = max_wait_ms
    consumer._isolation_level = isolation_level


def report_heartbeats(consumer: Consumer, answered: Callable[[float], None]) -> None:
    """Call ``answered`` for each heartbeat that the coordinator answers, with when it was sent.

    The time is in seconds of ``time.monotonic``. Call when the consumer has started.
    """
    coordinator = consumer._coordinator
    send_heartbeat = coordinator._do_heartbeat

    async def send_and_report() -> bool:
        sent_s = time.monotonic()
        success: bool = await send_heartbeat()
        if success:
            answered(sent_s)
        return success

    coordinator._do_heartbeat = send_and_report


def consumed_offsets(consumer: Consumer) -> dict[TopicPartition, int]:
    """How far each assigned partition is read, transaction markers included."""
    subscription = consumer._subscription.subscription
    if subscription is None or subscription.assignment is None:
        return {}
    consumed = subscription.assignment.all_consumed_offsets()
    return {tp: found.offset for tp, found in consumed.items()}


async def request_rejoin(consumer: Consumer) -> None:
    """Make the group rebalance, as if the subscription had changed."""
    consumer._coordinator.request_rejoin()


async def fetch_commits(
    consumer: Consumer, partitions: Iterable[TopicPartition]
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """The group's commits, with metadata, asked of the coordinator; raises KafkaError.

    A partition without a commit has offset -1, or is missing.
    """
    commits: Mapping[TopicPartition, OffsetAndMetadata]
    commits = await consumer._coordinator.fetch_committed_offsets(list(partitions))
    return commits
