"""Hashes of the wire contract: Kafka's default partitioner, event id digests, our own ids."""

import hashlib

_MASK = 0xFFFFFFFF
_MULTIPLIER = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """Hash as Kafka's Java client does: MurmurHash2 (A. Appleby), 32 bits, seed 0x9747b28c."""
    hashed = (0x9747B28C ^ len(data)) & _MASK
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ word >> 24) * _MULTIPLIER & _MASK
        hashed = hashed * _MULTIPLIER & _MASK ^ word
    if rest := data[whole:]:
        hashed = (hashed ^ int.from_bytes(rest, "little")) * _MULTIPLIER & _MASK
    hashed = (hashed ^ hashed >> 13) * _MULTIPLIER & _MASK
    return hashed ^ hashed >> 15


def partition_of(key: bytes, n_partitions: int) -> int:
    """The partition that the default partitioner gives a key (the sign bit is dropped)."""
    return (murmur2(key) & 0x7FFFFFFF) % n_partitions


def event_digest(event_id: str) -> bytes:
    """The 8 bytes by which a user's value remembers an event id."""
    return hashlib.blake2b(event_id.encode(), digest_size=8).digest()


def receipt_id(topic: str, partition: int, offset: int, group: str) -> str:
    """The id of a receipt: equal for the same forget event and group."""
    text = f"{topic}\0{partition}\0{offset}\0{group}"
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def score_id(user_id: str, offset: int, model_version: str, level: str = "") -> str:
    """The id of a score: equal for the same user, source offset and model version.

    That of a degraded one has how it is degraded in it, too: ``short`` or ``cold``.
    """
    text = f"{user_id}\0{offset}\0{model_version}" + (f"\0{level}" if level else "")
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
