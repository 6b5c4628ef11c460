"""The oracle's hashes against published values and against aiokafka."""

import pytest
from aiokafka.partitioner import murmur2 as peer

from tests.oracle.hashing import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # from the unit test of Kafka's Java client (UtilsTest), as signed 32-bit integers
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_kafkas(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected % 2**32


def test_murmur2_agrees_with_another_client_on_every_length() -> None:
    for length in range(70):
        data = bytes(range(200, 200 + min(length, 56))) + b"x" * (length - 56)

        assert murmur2(data) == peer(data) % 2**32


def test_partition_drops_the_sign_bit() -> None:
    assert partition_of(b"21", 4) == (-973932308 % 2**32 - 2**31) % 4
