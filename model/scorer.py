"""The scorer protocol: the interface between the stream and any model."""

from collections.abc import Callable, Collection, Container, Mapping
from collections.abc import Sequence as Batch
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from model.sequence import Sequence

Quality = Literal["full", "cold", "degraded"]


class ModelInfo(NamedTuple):
    """The identity of a model, as given in every score, in the metrics and in the log.

    ``created_s`` is when it was exported, in seconds since the epoch; None if that is unknown.
    """

    name: str
    version: str
    device: str
    horizon_s: int
    created_s: float | None = None


class Vocabulary(NamedTuple):
    """The action names and item ids that a model knows; None: it takes any.

    ``category_of`` tells that of an item, ``intents`` has the actions that each one counts, and
    ``window`` is how many of the newest actions it reads; empty or None where it says nothing.
    """

    actions: frozenset[str] | None
    items: Container[str] | None
    category_of: Callable[[str], str | None] = lambda _: None
    intents: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    window: int | None = None

    def unseen_intents(self, accepted: Collection[str]) -> list[str]:
        """The intents that never happen where only these actions are accepted, sorted."""
        return sorted(n for n, actions in self.intents.items() if not set(actions) & set(accepted))


ANYTHING = Vocabulary(None, None)


class Score(NamedTuple):
    """The model's prediction for one sequence.

    ``items`` and ``categories`` are best first, each with its probability over the whole
    catalogue; items of the sequence that the catalogue lacks may be listed, too. ``intent`` gives,
    for each predicted action, the calibrated probability that it happens within the model's
    horizon. Every probability is rounded to six significant digits, so that equal scores are equal
    bytes; so is the user's ``vector``, which is present only if requested, and never in a ``cold``
    score. ``path`` is the path network's prediction for the visit (``model.visits``), and None
    from any other network.
    """

    items: list[tuple[str, float]]
    categories: list[tuple[str, float]]
    intent: dict[str, float]
    quality: Quality
    vector: list[float] | None = None
    path: dict[str, Any] | None = None


class EncodedScore(NamedTuple):
    """A score as it is published: the JSON of its prediction, without braces."""

    json: bytes
    quality: Quality


Answer = Score | EncodedScore


class Scorer(Protocol):
    """Anything that scores sequences."""

    @property
    def info(self) -> ModelInfo:
        """The identity of the model."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """The actions and items that the model knows."""
        ...

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """Score each sequence; the result has the same length and order.

        A score depends on its own sequence alone, never on the others in the batch. The score of
        a sequence of which the model knows nothing is ``cold``: an empty one, or one of unknown
        items alone if the artifact has no copy curve. Raises MemoryError (or one of its
        subclasses) when no sequence is to blame: fewer at a time may succeed.
        """
        ...


@runtime_checkable
class AnsweringScorer(Protocol):
    """A scorer that can encode its scores."""

    def answer(self, sequences: Batch[Sequence]) -> list[Answer]:
        """Score each sequence as ``score`` does; what is encoded holds valid probabilities."""
        ...
