"""The scorer: the seam between the stream and whatever model answers."""

from collections.abc import Sequence as Batch
from typing import Any, Literal, NamedTuple, Protocol

from model.sequence import Sequence

Quality = Literal["full", "cold", "degraded"]


class ModelInfo(NamedTuple):
    """Who answers: stands in every score, in the metrics and in the log."""

    name: str
    version: str
    device: str
    horizon_s: int


class Score(NamedTuple):
    """What one user wants now.

    ``items`` and ``categories`` are best first; their second part is a probability over the
    whole catalogue. ``intent`` gives, for each action that is predicted, the calibrated
    probability that it happens within the model's horizon. Every probability is rounded to
    six significant digits, so that equal scores are equal bytes; so is the user's ``vector``,
    which is there only when asked for, and never in a ``cold`` answer. ``path`` is what the path
    network says of the visit (``model.visits``), and None from any other.
    """

    items: list[tuple[str, float]]
    categories: list[tuple[str, float]]
    intent: dict[str, float]
    quality: Quality
    vector: list[float] | None = None
    path: dict[str, Any] | None = None


class Scorer(Protocol):
    """Anything that scores sequences."""

    @property
    def info(self) -> ModelInfo:
        """Who answers."""
        ...

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """Score each sequence; the result has the same length and order.

        A score depends on its own sequence alone, never on the others in the batch. A
        sequence that is empty, or has no item of the catalogue, gets the ``cold`` answer.
        """
        ...
