"""Shedding: how scores degrade, step by step, when users wait too long; off by default.

    merged per user ─► shorter lists ─► the score of a new user ─► partitions pause

The first and the last step always apply (`stream.pipeline.batcher`, `Limits.pending_users`).
"""

from collections.abc import Sequence as Batch
from typing import Literal

from model.scorer import Answer, Score
from model.sequence import Sequence

Level = Literal["full", "short", "cold"]

SHORT_ITEMS = 5


def shed_level(waited_s: float, after_s: float | None) -> Level:
    """The level for a batch whose oldest user has waited this long.

    With ``after_s`` None it is always ``full``.
    """
    if after_s is None or waited_s <= after_s:
        return "full"
    return "short" if waited_s <= 2 * after_s else "cold"


def scorer_input(sequences: Batch[Sequence], level: Level) -> Batch[Sequence]:
    """What the scorer gets: at level ``cold``, empty sequences that keep only the clock.

    A scorer answers an empty sequence with its cold score, without running a network.
    """
    if level != "cold":
        return sequences
    return [Sequence((), (), (), sequence.now_ms) for sequence in sequences]


def degrade(scores: list[Answer | Exception], level: Level) -> list[Answer | Exception]:
    """Shorten the scores as the level says, and mark them as degraded.

    Neighbours that share one score object still do, so that it is encoded once.
    """
    if level == "full":
        return scores
    degraded: list[Answer | Exception] = []
    last: Answer | Exception | None = None
    for score in scores:
        if score is not last:
            last, result = score, _degraded(score, level)
        degraded.append(result)
    return degraded


def _degraded(score: Answer | Exception, level: Level) -> Answer | Exception:
    if not isinstance(score, Score):  # a scorer encodes full scores alone
        return score
    items = score.items[:SHORT_ITEMS] if level == "short" else score.items
    return score._replace(items=items, quality="degraded")
