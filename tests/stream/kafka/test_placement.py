"""Where the default partitioner puts a key, and how many of a batch's keys lie elsewhere."""

import zlib

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from stream.kafka.placement import PlacementCheck, default_partitioner
from stream.metrics import Metrics
from tests.oracle.hashing import partition_of

PARTITIONS = 3
USERS = [f"u{n}".encode() for n in range(40)]


def by_crc32(key: bytes, partitions: int = PARTITIONS) -> int:
    """Where librdkafka's default partitioner puts a key."""
    return zlib.crc32(key) % partitions


def test_the_default_partitioner_is_that_of_javas_client() -> None:
    place = default_partitioner(7)

    assert [place(key) for key in USERS] == [partition_of(key, 7) for key in USERS]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def counts(metrics: Metrics) -> dict[str, float]:
    return {name: counter._value.get() for name, counter in metrics.checked_keys.items()}


def test_keys_are_counted_by_partitioner_and_the_first_of_another_is_logged(
    metrics: Metrics,
) -> None:
    check = PlacementCheck(default_partitioner(PARTITIONS), metrics.checked_keys)
    same = [key for key in USERS if by_crc32(key) == partition_of(key, PARTITIONS)]

    with capture_logs() as logs:
        check.check((partition_of(key, PARTITIONS), key) for key in USERS)
        assert (counts(metrics), logs) == ({"murmur2": 40, "other": 0}, [])
        for _ in range(2):
            check.check((by_crc32(key), key) for key in USERS)

    agree = len(same)  # about a third: partitioners agree by chance
    assert 0 < agree < 40
    assert counts(metrics) == {"murmur2": 40 + 2 * agree, "other": 2 * (40 - agree)}
    assert [log["log_level"] for log in logs] == ["warning"]
    assert "murmur2_random" in logs[0]["advice"]
    assert not [user for user in USERS if f"'{user.decode()}'" in str(logs)]
