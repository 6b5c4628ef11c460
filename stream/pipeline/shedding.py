"""Shedding: what an answer leaves out when users wait for too long, step by step, if asked for.

    merged per user ─► shorter lists ─► the answer of a new user ─► partitions pause

The first and the last step are always there (`stream.pipeline.batcher`, `Limits.pending_users`).
"""

from collections.abc import Sequence as Batch
from typing import Literal

from model.scorer import Score
from model.sequence import Sequence

Level = Literal["full", "short", "cold"]

SHORT_ITEMS = 5


def shed_level(waited_s: float, after_s: float | None) -> Level:
    """How much to leave out for a batch whose oldest user has waited so long.

    None as ``after_s`` never trades quality for time.
    """
    if after_s is None or waited_s <= after_s:
        return "full"
    return "short" if waited_s <= 2 * after_s else "cold"


def asked(sequences: Batch[Sequence], level: Level) -> Batch[Sequence]:
    """What the scorer is asked: for the answer of a new user, nothing but what time it is.

    A scorer gives an empty sequence its cold answer, and runs no network for it.
    """
    if level != "cold":
        return sequences
    return [Sequence((), (), (), sequence.now_ms) for sequence in sequences]


def degrade(scores: list[Score | Exception], level: Level) -> list[Score | Exception]:
    """Shorten the answers, as the level asks, and mark them as degraded.

    Neighbours who share one answer still do, so that it is encoded once.
    """
    if level == "full":
        return scores
    degraded: list[Score | Exception] = []
    last: Score | Exception | None = None
    for score in scores:
        if score is not last:
            last, said = score, _degraded(score, level)
        degraded.append(said)
    return degraded


def _degraded(score: Score | Exception, level: Level) -> Score | Exception:
    if isinstance(score, Exception):
        return score
    items = score.items[:SHORT_ITEMS] if level == "short" else score.items
    return score._replace(items=items, quality="degraded")
