"""The explanation: which past actions carry the score of an item, by occlusion.

Each action is left out in turn, and the model asked again (Zeiler and Fergus, "Visualizing and
Understanding Convolutional Networks", ECCV 2014, did so with parts of an image). What an action
carries is what is missing without it; shares need not add up, for two actions may say the same.
"""

from collections.abc import Sequence as Batch
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, Protocol

from model.catalogue import Catalogue
from model.errors import DataError
from model.outputs import Reals
from model.scorer import Quality, Score
from model.sequence import Sequence


class Explicable(Protocol):
    """A scorer that tells the whole distribution."""

    @property
    def catalogue(self) -> Catalogue:
        """The items it knows."""
        ...

    @property
    def window(self) -> int:
        """How many of the newest actions it looks at."""
        ...

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """See ``Scorer.score``."""
        ...

    def probabilities(self, sequences: Batch[Sequence]) -> Reals:
        """The probability of each item, (B, V)."""
        ...


class Carried(NamedTuple):
    """One action, and by how much the model's figures are larger with it than without."""

    item_id: str
    action: str
    ts_ms: int
    probability: float
    intent: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the model says of one item, and what each action adds to it; oldest action first."""

    item_id: str
    probability: float
    rank: int  # among the catalogue, from 1
    items: int  # in the catalogue
    intent: dict[str, float]
    quality: Quality
    now_ms: int
    actions: list[Carried]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types."""
        return asdict(self) | {"actions": [action._asdict() for action in self.actions]}


def explain(scorer: Explicable, sequence: Sequence, item: str) -> Explanation:
    """Ask with the newest actions that the model looks at, then without each one of them.

    Raises ``DataError`` for an item that the catalogue has not, and for an empty sequence.
    """
    code = scorer.catalogue.find(item)
    if not sequence.items:
        raise DataError("the sequence has no actions, so nothing carries a score; give some events")
    # Or an action from before the window would come in for the one that is left out.
    seen = newest(sequence, scorer.window)
    asked = [seen, *(without(seen, place) for place in range(len(seen.items)))]
    probabilities = scorer.probabilities(asked)
    scores = scorer.score(asked)
    chances, whole = probabilities[:, code].astype(float).tolist(), scores[0]
    return Explanation(
        item_id=item,
        probability=chances[0],
        rank=1 + int((probabilities[0] > probabilities[0, code]).sum()),
        items=len(scorer.catalogue),
        intent=whole.intent,
        quality=whole.quality,
        now_ms=seen.now_ms,
        actions=[
            Carried(
                seen.items[place],
                seen.actions[place],
                seen.times_ms[place],
                chances[0] - chances[place + 1],
                {name: p - scores[place + 1].intent[name] for name, p in whole.intent.items()},
            )
            for place in range(len(seen.items))
        ],
    )


def newest(sequence: Sequence, count: int) -> Sequence:
    """The sequence's last ``count`` actions, at the same clock."""
    return Sequence(
        sequence.items[-count:],
        sequence.actions[-count:],
        sequence.times_ms[-count:],
        sequence.now_ms,
    )


def without(sequence: Sequence, place: int) -> Sequence:
    """The sequence as if one action had not been; the clock stays."""
    items, actions, times_ms, now_ms = sequence
    return Sequence(
        items[:place] + items[place + 1 :],
        actions[:place] + actions[place + 1 :],
        times_ms[:place] + times_ms[place + 1 :],
        now_ms,
    )
