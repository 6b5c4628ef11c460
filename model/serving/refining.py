"""The refiner: applies the scoring options to a model's scores."""

from collections.abc import Mapping
from collections.abc import Sequence as Batch

import numpy as np

from model.catalogue import Catalogue, Floats
from model.outputs import Reals
from model.rounding import round_probabilities
from model.scorer import Score
from model.sequence import Sequence
from model.serving.answering.answers import check_finite
from model.serving.answering.newcomers import Mixture
from model.serving.options import ScoringOptions
from model.serving.reranking import Pick, Picker, history

PROBABILITIES = "probabilities"  # (B, V) over the catalogue
USER_VECTORS = "user_vectors"  # (B, D)


class Refiner:
    """Replaces the items of scores and adds vectors according to the options.

    ``needs`` names the graph outputs beyond ``Outputs`` that this takes.
    """

    def __init__(self, options: ScoringOptions, catalogue: Catalogue, top_items: int) -> None:
        """Raises ``OptionsError`` for a list without an item of the catalogue."""
        self._catalogue = catalogue
        self._names = np.array(catalogue.items, dtype=object)
        self._picker = (
            Picker(options, catalogue, min(top_items, len(catalogue)))
            if options.choose_items
            else None
        )
        needs = {PROBABILITIES: options.choose_items, USER_VECTORS: options.user_vector}
        self.needs = tuple(name for name, needed in needs.items() if needed)

    def refine(
        self,
        scores: list[Score],
        found: Mapping[str, Reals],
        sequences: Batch[Sequence],
        mixtures: Mapping[int, Mixture],
    ) -> list[Score]:
        """Refine the scores of these sequences; ``found`` holds the outputs in ``needs``.

        ``mixtures`` holds what newcomers change, by row.

        Raises ``ScorerError`` if one of them is not finite.
        """
        for name in self.needs:
            check_finite(name, found[name])
        if self._picker is not None:
            rows = range(len(scores))
            newcomers = [mixtures[row].names if row in mixtures else () for row in rows]
            histories = [
                history(sequence, self._catalogue, names)
                for sequence, names in zip(sequences, newcomers, strict=True)
            ]
            picks = self._picker.pick(found[PROBABILITIES], histories, mixtures)
            scores = [
                score._replace(items=self._items(pick, names))
                for score, pick, names in zip(scores, picks, newcomers, strict=True)
            ]
        if USER_VECTORS in self.needs:
            vectors = rounded_vectors(found[USER_VECTORS])
            scores = [
                score._replace(vector=vector) for score, vector in zip(scores, vectors, strict=True)
            ]
        return scores

    def refine_cold(self, score: Score, popularity: Floats) -> Score:
        """Refine the cold answer: items are picked from popularity (V,) in the same way."""
        if self._picker is None:
            return score
        nothing = np.empty(0, dtype=np.int64)
        pick = self._picker.pick(popularity[None], [nothing])[0]
        return score._replace(items=self._items(pick))

    def _items(self, pick: Pick, newcomers: tuple[str, ...] = ()) -> list[tuple[str, float]]:
        shares = round_probabilities(pick.probabilities).tolist()
        known = pick.items < len(self._names)
        if known.all():
            names = self._names[pick.items].tolist()
        else:
            names = [
                self._names[item] if item < len(self._names) else newcomers[item - len(self._names)]
                for item in pick.items.tolist()
            ]
        return list(zip(names, shares, strict=True))


def rounded_vectors(vectors: Reals) -> list[list[float]]:
    """Round vectors (B, D) for publishing: six significant digits, like probabilities."""
    exact = np.asarray(vectors, dtype=np.float64)
    signed = np.copysign(round_probabilities(np.abs(exact)), exact)
    rounded: list[list[float]] = (signed + 0.0).tolist()  # turns −0.0 into 0.0
    return rounded
