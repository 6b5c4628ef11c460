"""The reranking: the best items under the options, found exactly and without a full sort."""

from collections.abc import Mapping
from collections.abc import Sequence as Batch
from itertools import repeat
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import NO_CATEGORY, UNKNOWN, Catalogue
from model.errors import OptionsError
from model.sequence import Sequence
from model.serving.answering.newcomer_categories import number
from model.serving.answering.newcomers import Mixture
from model.serving.options import ItemList, ScoringOptions

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

CANDIDATES = 5  # likeliest items to diversify, as a multiple of the list's length
_WIDER = 8  # growth of the candidates where a cap leaves too few
NO_MIXTURES: Mapping[int, Mixture] = MappingProxyType({})
_NEVER = -1.0  # marks the probability of an item that must not be picked


class Pick(NamedTuple):
    """The items of one score, in order; fewer than requested where no more are left."""

    items: Ints  # (K,) indices into the catalogue, and from its length on the newcomers
    probabilities: Floats  # (K,)


class Picker:
    """Picks ``count`` items per row from probabilities over the whole catalogue.

    Probabilities are not renormalised after filtering, since what the user wants does not depend
    on what is in stock. Among equals the smaller index comes first.
    """

    def __init__(self, options: ScoringOptions, catalogue: Catalogue, count: int) -> None:
        """Raises ``OptionsError`` for a list without an item of the catalogue."""
        self._options = options
        self._count = count
        self._categories = catalogue.item_categories
        self._category_index = {name: code for code, name in enumerate(catalogue.categories)}
        self._excluded = _excluded(options, catalogue)

    def pick(
        self,
        probabilities: npt.ArrayLike,
        histories: Batch[Ints],
        mixtures: Mapping[int, Mixture] = NO_MIXTURES,
    ) -> list[Pick]:
        """One pick for each row of ``probabilities`` (B, V).

        ``histories`` holds the ``history`` of each row's sequence, ``mixtures`` what newcomers
        change, by row.

        1. Redistribute the probability of the history by recency.
        2. Exclude items that are not allowed, blocked, or seen.
        3. Pick from the likeliest left, one by one, by marginal relevance under the cap.
        """
        chances = np.array(probabilities, dtype=np.float64)
        return [
            self._pick_row(row, seen, mixtures.get(number))
            for number, (row, seen) in enumerate(zip(chances, histories, strict=True))
        ]

    def _pick_row(self, row: Floats, seen: Ints, mixture: Mixture | None) -> Pick:
        categories, excluded = self._categories, self._excluded
        if mixture is not None:
            row = mixture.whole(row)
            same_row = [0] * len(mixture.names)
            own = number(same_row, mixture.categories, self._category_index)
            categories = np.append(categories, own)
            excluded = np.append(excluded, [self._excludes(name) for name in mixture.names])
        row[seen] = reweigh(row[seen], self._options.recency_temperature)
        row[excluded] = _NEVER
        if self._options.exclude_seen:
            row[seen] = _NEVER
        return self._pick(row, categories)

    def _excludes(self, name: str) -> bool:
        """Whether a newcomer is blocked, or not among the allowed items."""
        allowed, blocked = self._options.allowed_items, self._options.blocked_items
        listed = allowed is None or name in allowed.ids
        return not listed or (blocked is not None and name in blocked.ids)

    def _pick(self, chances: Floats, categories: Ints) -> Pick:
        spread = self._options.diversity > 0 or self._options.max_per_category is not None
        size = self._count * (CANDIDATES if spread else 1)
        while True:
            candidates = largest(chances, size)
            picked = self._spread(candidates, chances, categories)
            if len(picked) == self._count or len(candidates) < size:
                return Pick(picked, chances[picked])
            size *= _WIDER

    def _spread(self, candidates: Ints, chances: Floats, categories: Ints) -> Ints:
        """Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998), under the cap.

        The next item is the one with the largest ``(1 − d)·p/p_max − d·s``, where d is the
        diversity and s is 1 if an item of its category is picked already, else 0.
        """
        cap, diversity = self._options.max_per_category, self._options.diversity
        if len(candidates) == 0 or (cap is None and diversity == 0):
            return candidates[: self._count]
        relevance = chances[candidates]
        worth = (1 - diversity) * relevance / max(relevance[0], np.finfo(np.float64).tiny)
        categories = categories[candidates]
        left = np.ones(len(candidates), dtype=np.bool_)
        picked: list[int] = []
        while len(picked) < self._count and left.any():
            best = int(np.argmax(np.where(left, worth, -np.inf)))
            picked.append(best)
            left[best] = False
            if categories[best] == NO_CATEGORY:
                continue
            alike = categories == categories[best]
            taken = int(alike[picked].sum())
            if taken == 1:
                worth[alike] -= diversity
            if taken == cap:
                left &= ~alike
        return candidates[picked]


def history(sequence: Sequence, catalogue: Catalogue, newcomers: Batch[str] = ()) -> Ints:
    """The distinct items of a sequence that are in the catalogue, newest first.

    Its newcomers are numbered from the length of the catalogue on.
    """
    codes = catalogue.codes(sequence.items[::-1])
    if newcomers:
        numbers = {name: len(catalogue) + place for place, name in enumerate(newcomers)}
        extra = map(numbers.get, sequence.items[::-1], repeat(UNKNOWN))
        codes = np.maximum(codes, np.fromiter(extra, np.int64, len(codes)))
    return np.array(list(dict.fromkeys(codes[codes >= 0].tolist())), dtype=np.int64)


def reweigh(chances: Floats, temperature: float) -> Floats:
    """Redistribute the probabilities of a history, newest first; their sum stays the same.

    ``p'_r ∝ p_r · r^(1 − 1/T)``, r = 1 for the newest: if the model's own probabilities decay with
    recency as 1/r, the new ones decay as 1/r^(1/T). T = 1 changes nothing, T → 0 gives everything
    to the newest, T → ∞ ignores recency.
    """
    if temperature == 1 or len(chances) < 2:
        return chances
    ranks = np.arange(1, len(chances) + 1, dtype=np.float64)
    weighed: Floats = chances * ranks ** (1 - 1 / temperature)
    total = weighed.sum()
    return weighed * (chances.sum() / total) if total > 0 else chances


def largest(values: Floats, count: int) -> Ints:
    """Indices of the ``count`` largest non-negative values, largest first."""
    count = min(count, len(values))
    threshold = max(0.0, float(np.partition(values, len(values) - count)[len(values) - count]))
    indices = np.flatnonzero(values >= threshold)
    return indices[np.argsort(-values[indices], kind="stable")][:count]


def _excluded(options: ScoringOptions, catalogue: Catalogue) -> npt.NDArray[np.bool_]:
    excluded = np.zeros(len(catalogue), dtype=np.bool_)
    if options.allowed_items is not None:
        excluded[:] = True
        excluded[_codes(options.allowed_items, catalogue)] = False
    if options.blocked_items is not None:
        excluded[_codes(options.blocked_items, catalogue)] = True
    if excluded.all():
        raise OptionsError(
            "the lists of allowed and blocked items leave none of the catalogue's "
            f"{len(catalogue)} items; check both"
        )
    return excluded


def _codes(listed: ItemList, catalogue: Catalogue) -> Ints:
    codes = catalogue.codes(sorted(listed.ids))
    known = codes[codes >= 0]
    if len(known) == 0:
        example = f", {min(listed.ids)!r} first" if listed.ids else ""
        raise OptionsError(
            f"{listed.source}: names no item of the catalogue ({len(listed.ids)} ids{example}; "
            f"the catalogue has {catalogue.items[0]!r}); give the ids that events carry"
        )
    return known
