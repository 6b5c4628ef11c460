"""Placement: in which partition a key belongs by Kafka's default partitioner, and whether it does.

Java's clients, aiokafka and our own commands place a key by murmur2; librdkafka's clients, unless
told otherwise, by CRC32. A worker accepts both, but a user whose records are placed by both has two
histories.
"""

from collections.abc import Callable, Iterable, Mapping

import structlog
from aiokafka.errors import KafkaError
from aiokafka.partitioner import DefaultPartitioner
from prometheus_client import Counter

from stream.errors import LatelyError
from stream.kafka.command_clients import TopicReader, open_reader
from stream.kafka.topic_checks import Finding
from stream.settings import KafkaSettings

NEWEST = 1000  # records that are looked at, over all partitions
SETTING = (
    "set the partitioner of the client that sends them (librdkafka: partitioner=murmur2_random), "
    "as the README says"
)
_log = structlog.get_logger(__name__)


def default_partitioner(partitions: int) -> Callable[[bytes], int]:
    """A function from a key to its partition among this many, as Java's client places it."""
    numbers, partitioner = list(range(partitions)), DefaultPartitioner()
    return lambda key: int(partitioner(key, numbers, numbers))


class PlacementCheck:
    """Counts keys by whether the default partitioner puts them where they lie.

    ``counters`` has one for ``murmur2``, the default partitioner, and one for ``other``. The first
    key that lies elsewhere is logged.
    """

    def __init__(
        self, partition_of: Callable[[bytes], int], counters: Mapping[str, Counter]
    ) -> None:
        self._partition_of = partition_of
        self._counters = counters
        self._warned = False

    def check(self, keys: Iterable[tuple[int, bytes]]) -> None:
        """Count these keys, each with the partition that it lies in; takes some µs per key."""
        for partition, key in keys:
            placed = self._partition_of(key) == partition
            self._counters["murmur2" if placed else "other"].inc()
            if not placed and not self._warned:
                self._warned = True
                _log.warning(
                    "keys lie in other partitions than Kafka's default partitioner gives them; "
                    "a user whom several clients send may have several histories",
                    partition=partition,
                    advice=SETTING,
                )


async def check_recent_keys(settings: KafkaSettings) -> Finding:
    """Check the last records of the events topic; only a topic that can be read is judged."""
    topic, expected = settings.events_topic, "placed by murmur2, Kafka's default partitioner"
    try:
        async with open_reader(settings, topic, "--events-topic", committed=True) as reader:
            keys = await _recent_keys(reader)
            partition_of = default_partitioner(len(reader.partitions))
    except (LatelyError, KafkaError) as error:
        return Finding("SKIP", topic, "keys", f"cannot be read ({error})", expected)
    other = sum(partition_of(key) != partition for partition, key in keys)
    if not keys:
        return Finding("SKIP", topic, "keys", "no recent record has a key", expected)
    if not other:
        return Finding("PASS", topic, "keys", f"the last {len(keys)} {expected}", expected)
    found = f"{other} of the last {len(keys)} placed by another partitioner"
    fix = f"{SETTING}; until then `lately replay` would give these users a second history"
    return Finding("WARN", topic, "keys", found, expected, fix)


async def _recent_keys(reader: TopicReader) -> list[tuple[int, bytes]]:
    keys: list[tuple[int, bytes]] = []
    async for partition, records in reader.read_newest(NEWEST):
        keys += [(partition, record.key) for record in records if record.key is not None]
    return keys
