"""The answers: turn an engine's outputs into the scores that the stream publishes."""

from typing import Any

import numpy as np
import numpy.typing as npt

from model.artifact.calibration import Calibration
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.errors import ScorerError
from model.outputs import Outputs, Reals
from model.rounding import round_probabilities
from model.scorer import Score
from model.serving.answering.newcomer_categories import mix, number
from model.serving.answering.newcomers import Mixtures


class Answers:
    """Turns the outputs of one artifact into scores; also holds the cold answer."""

    def __init__(
        self, catalogue: Catalogue, calibration: Calibration, config: ArtifactConfig
    ) -> None:
        self._items = np.array(catalogue.items, dtype=object)
        self._categories = np.array(catalogue.categories, dtype=object)
        self._category_index = {name: code for code, name in enumerate(catalogue.categories)}
        self._calibration = calibration
        self._config = config
        self.cold = self.cold_for(catalogue, catalogue.counts)

    def full(self, outputs: Outputs) -> list[Score]:
        """One score per row, in order; raises ``ScorerError`` for non-finite outputs."""
        for name, values in zip(outputs._fields[1:], outputs[1:], strict=True):
            check_finite(name, values)
        items = self._items[outputs.top_items].tolist()
        shares = round_probabilities(outputs.top_probs).tolist()
        best = self._best_categories(outputs.category_probs)
        categories = self._categories[best].tolist()
        parts = round_probabilities(np.take_along_axis(outputs.category_probs, best, 1)).tolist()
        chances = round_probabilities(self._calibration.apply(outputs.intent_logits)).tolist()
        intents = self._config.intents
        return [
            Score(
                list(zip(items[row], shares[row], strict=True)),
                list(zip(categories[row], parts[row], strict=True)),
                dict(zip(intents, chance, strict=True)),
                "full",
            )
            for row, chance in enumerate(chances)
        ]

    def with_newcomers(
        self, scores: list[Score], mixtures: Mixtures, category_probs: Reals
    ) -> list[Score]:
        """The scores with newcomers among their items, and the newcomers' own categories.

        The mixtures and the probabilities (B, C) are of the same sequences.
        """
        best = mixtures.best(self._items, self._config.top_items)
        scores = [score._replace(items=items) for score, items in zip(scores, best, strict=True)]
        for row, categories in self._categories_with_newcomers(mixtures, category_probs).items():
            scores[row] = scores[row]._replace(categories=categories)
        return scores

    def _categories_with_newcomers(
        self, mixtures: Mixtures, category_probs: Reals
    ) -> dict[int, list[tuple[str, float]]]:
        """The best categories of the rows in which a newcomer has one; others stay as they are."""
        own = np.flatnonzero([name is not None for name in mixtures.categories.tolist()])
        if len(own) == 0:
            return {}
        names = mixtures.categories[own]
        each, rows = np.unique(mixtures.rows[own], return_inverse=True)
        codes = number(rows.tolist(), names.tolist(), self._category_index)
        probs = mix(category_probs[each], rows, codes, mixtures.shares[own])
        named = np.empty(probs.shape, dtype=object)
        named[:, : len(self._categories)] = self._categories
        named[rows, codes] = names
        best = self._best_categories(probs)
        listed = np.take_along_axis(named, best, 1).tolist()
        chances = np.take_along_axis(probs, best, 1)
        counts = (chances >= 0).sum(axis=1).tolist()
        rounded = round_probabilities(chances).tolist()
        return {
            row: list(zip(listed[at][:count], rounded[at][:count], strict=True))
            for at, (row, count) in enumerate(zip(each.tolist(), counts, strict=True))
        }

    def _best_categories(self, probs: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """Columns of the likeliest categories, best first, the smaller index first on a tie."""
        count = min(self._config.top_categories, probs.shape[1])
        if count == 0:
            return np.empty((len(probs), 0), dtype=np.int64)
        # A partial sort, since shops have thousands of categories; of ties at the cut it takes any.
        best = np.sort(np.argpartition(-probs, count - 1, axis=1)[:, :count], axis=1)
        cut = np.take_along_axis(probs, best, 1).min(axis=1, keepdims=True)
        for row in np.flatnonzero((probs >= cut).sum(axis=1) > count):
            best[row] = np.sort(np.argsort(-probs[row], kind="stable")[:count])
        order = np.argsort(-np.take_along_axis(probs, best, 1), axis=1, kind="stable")
        return np.take_along_axis(best, order, 1)

    def cold_for(self, catalogue: Catalogue, counts: npt.NDArray[np.int64]) -> Score:
        """The answer for a user without a known item, from the item counts (V,)."""
        shares, parts = catalogue.shares(counts), catalogue.category_shares(counts)
        return Score(
            _most(self._items, shares, self._config.top_items),
            _most(self._categories, parts, self._config.top_categories),
            dict(
                zip(
                    self._config.intents,
                    round_probabilities(self._calibration.base_rates).tolist(),
                    strict=True,
                )
            ),
            "cold",
        )


def check_finite(name: str, values: Reals) -> None:
    """Raise ``ScorerError``, naming the output, if its values (B, …) are not all finite."""
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        raise ScorerError(
            f"{name} is not a number for {int((~finite).sum())} of {len(values)} sequences, "
            "expected finite values; the weights are broken: train and export again"
        )


def _most(
    names: npt.NDArray[np.object_], shares: npt.NDArray[np.float64], count: int
) -> list[tuple[str, float]]:
    order = np.argsort(-shares, kind="stable")[:count]
    rounded = round_probabilities(shares[order]).tolist()
    return list(zip(names[order].tolist(), rounded, strict=True))
