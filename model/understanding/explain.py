"""The explanation: which past actions contribute to the score of an item, by occlusion.

Each action is left out in turn and the sequence scored again (Zeiler and Fergus, "Visualizing and
Understanding Convolutional Networks", ECCV 2014, did this with parts of an image). An action's
contribution is the difference; contributions need not add up, as two actions may be redundant.
"""

from collections.abc import Sequence as Batch
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

from model.catalogue import Catalogue
from model.errors import DataError
from model.outputs import Reals
from model.scorer import Quality, Score
from model.sequence import Sequence


class Explainable(Protocol):
    """A scorer that gives the probability of every item."""

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue of the model."""
        ...

    @property
    def window(self) -> int:
        """The number of newest actions that the model reads."""
        ...

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """See ``Scorer.score``."""
        ...

    def probabilities(self, sequences: Batch[Sequence]) -> Reals:
        """The probability of each item, (B, V)."""
        ...


class Contribution(NamedTuple):
    """One action, and how much larger the model's probabilities are with it than without."""

    item_id: str
    action: str
    ts_ms: int
    probability: float
    intent: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The model's prediction for one item and each action's contribution, oldest first."""

    item_id: str
    probability: float
    rank: int  # in the catalogue, from 1
    items: int  # in the catalogue
    intent: dict[str, float]
    quality: Quality
    now_ms: int
    actions: list[Contribution]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return asdict(self) | {"actions": [action._asdict() for action in self.actions]}


def explain(scorer: Explainable, sequence: Sequence, item: str) -> Explanation:
    """Score the newest actions that the model reads, then again without each one of them.

    Raises ``DataError`` for an item that is not in the catalogue, and for an empty sequence.
    """
    code = scorer.catalogue.find(item)
    if not sequence.items:
        raise DataError("the sequence has no actions to explain a score with; give some events")
    # Otherwise an action from before the window would replace the one that is left out.
    seen = newest(sequence, scorer.window)
    variants = [seen, *(without(seen, index) for index in range(len(seen.items)))]
    distributions = scorer.probabilities(variants)
    scores = scorer.score(variants)
    probabilities, whole = distributions[:, code].astype(float).tolist(), scores[0]
    return Explanation(
        item_id=item,
        probability=probabilities[0],
        rank=1 + int((distributions[0] > distributions[0, code]).sum()),
        items=len(scorer.catalogue),
        intent=whole.intent,
        quality=whole.quality,
        now_ms=seen.now_ms,
        actions=[
            Contribution(
                seen.items[index],
                seen.actions[index],
                seen.times_ms[index],
                probabilities[0] - probabilities[index + 1],
                {name: p - scores[index + 1].intent[name] for name, p in whole.intent.items()},
            )
            for index in range(len(seen.items))
        ],
    )


def newest(sequence: Sequence, count: int) -> Sequence:
    """The sequence's last ``count`` actions, with the same clock."""
    return Sequence(
        sequence.items[-count:],
        sequence.actions[-count:],
        sequence.times_ms[-count:],
        sequence.now_ms,
        sequence.category_names,
        sequence.category_indices[-count:],
    )


def without(sequence: Sequence, index: int) -> Sequence:
    """The sequence without one action, with the same clock."""
    items, actions, times_ms, now_ms, names, indices = sequence
    return Sequence(
        items[:index] + items[index + 1 :],
        actions[:index] + actions[index + 1 :],
        times_ms[:index] + times_ms[index + 1 :],
        now_ms,
        names,
        indices[:index] + indices[index + 1 :],
    )
