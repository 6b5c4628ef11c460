"""The rules: the numbers of the contract that a setting may change."""

from typing import NamedTuple


class Rules(NamedTuple):
    """What the fold needs to know; the defaults are the worker's defaults."""

    actions: tuple[str, ...] = ("click", "cart", "buy")
    max_message_bytes: int = 65_536
    max_future_ms: int = 300_000
    allowed_lateness_ms: int = 3_600_000
    ttl_ms: int = 30 * 86_400_000
    sequence_length: int = 50
    dedupe_window: int = 64
    sheds: bool = False  # whether a score may be degraded


DEFAULT_RULES = Rules()
