"""The newcomers: names the items of a window that the catalogue lacks, beside the network's own.

The network reads them as unknown items and gives them no probability; the copy curve does.
"""

from collections.abc import Sequence as Batch
from dataclasses import dataclass
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.artifact.copying import Candidates, CopyCurve, candidates
from model.catalogue import UNKNOWN, Catalogue
from model.config import ArtifactConfig
from model.outputs import Reals
from model.rounding import round_probabilities
from model.sequence import Sequence
from model.serving.answering.newcomer_categories import own_categories

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]

NEWCOMER = -1  # the index of an item that the catalogue lacks
_NEVER = -1.0  # the probability where a row has no item
_LEAST = 1e-9  # a probability below which nothing is left for other items


class Mixture(NamedTuple):
    """How the probabilities of one sequence change, and the items to add."""

    names: tuple[str, ...]  # (U,) the newcomers, newest first
    shares: Floats  # (U,) their probabilities
    window: Ints  # (K,) catalogue indices of the window's other items, newest first
    window_shares: Floats  # (K,) their new probabilities
    scale: float  # of the probability of every other item
    categories: tuple[str | None, ...]  # (U,) of the newcomers

    def whole(self, chances: npt.NDArray[np.floating]) -> Floats:
        """The probabilities of the catalogue (V,) and of the newcomers, (V + U,)."""
        mixed = np.append(chances * self.scale, self.shares)
        mixed[self.window] = self.window_shares
        return mixed


@dataclass(frozen=True, slots=True)
class Mixtures:
    """The mixtures of B sequences, by the C distinct items of their windows, newest first."""

    top_items: Ints  # (B, K) the network's best
    chances: Floats  # (B, K) their probabilities, changed
    scales: Floats  # (B,) of the probability of every item outside the window
    rows: Ints  # (C,) the sequence of each item
    names: Names  # (C,)
    items: Ints  # (C,) catalogue indices, or NEWCOMER
    shares: Floats  # (C,) their probabilities, changed
    listed: npt.NDArray[np.bool_]  # (C,) whether the item is among the network's best
    categories: Names  # (C,) of each newcomer, None without one and for other items

    def of(self, row: int) -> Mixture:
        """The mixture of one sequence."""
        part = slice(*np.searchsorted(self.rows, [row, row + 1]).tolist())
        items, shares = self.items[part], self.shares[part]
        new = items == NEWCOMER
        names = tuple(self.names[part][new].tolist())
        categories = tuple(self.categories[part][new].tolist())
        scale = float(self.scales[row])
        return Mixture(names, shares[new], items[~new], shares[~new], scale, categories)

    def best(self, catalogue: Names, count: int) -> list[list[tuple[str, float]]]:
        """The likeliest of all items of each sequence, best first, rounded.

        Among equals the network's order comes first, then the newer item.
        """
        size = len(self.scales)
        extra = np.flatnonzero(~self.listed)
        rows = self.rows[extra]
        each = np.bincount(rows, minlength=size)
        places = np.arange(len(extra)) - (np.cumsum(each) - each)[rows]
        shares = np.full((size, int(each.max(initial=0))), _NEVER)
        names = np.empty(shares.shape, dtype=object)
        shares[rows, places], names[rows, places] = self.shares[extra], self.names[extra]
        chances = np.concatenate([self.chances, shares], axis=1)
        order = np.argsort(-chances, axis=1, kind="stable")[:, :count]
        best = np.take_along_axis(chances, order, 1)
        named = np.concatenate([catalogue[self.top_items], names], axis=1)
        named = np.take_along_axis(named, order, 1)
        rounded = round_probabilities(best).tolist()
        return [
            list(zip(row[:real], chances[:real], strict=True))
            for row, chances, real in zip(
                named.tolist(), rounded, (best >= 0).sum(axis=1).tolist(), strict=True
            )
        ]


class Newcomers:
    """Mixes the network's answers with those of the copy curve, where a window has newcomers.

    The network knows whose places it copies from only where the catalogue has the item. So the
    curve has a part in the window's other items, too: the root of the share of unknown places, as
    already a few of them disturb the network.
    """

    def __init__(self, curve: CopyCurve, catalogue: Catalogue, config: ArtifactConfig) -> None:
        self._curve = curve
        self._catalogue = catalogue
        self._actions = {name: place for place, name in enumerate(config.actions)}
        self._longest = config.max_length

    def mix(self, sequences: Batch[Sequence], top_items: Ints, top_probs: Reals) -> Mixtures:
        """The mixtures of sequences that have newcomers, given the network's best (B, K)."""
        lengths = np.array([min(len(s.items), self._longest) for s in sequences], dtype=np.int64)
        names = list(chain.from_iterable(s.items[-self._longest :] for s in sequences))
        items = self._number(names)
        unknown = items >= len(self._catalogue)
        found = self._candidates(sequences, items, lengths)
        blind = np.sqrt(np.add.reduceat(unknown, np.cumsum(lengths) - lengths) / lengths)

        rows, is_new = found.rows, unknown[found.newest]
        weights = self._curve.weights(found.cells) * np.where(is_new, self._curve.new, 1.0)
        shares = weights / (1 + np.bincount(rows, weights, len(lengths)))[rows]

        def total(values: Floats) -> Floats:
            # In the order of the row's items, so that it does not depend on the others.
            return np.bincount(rows, values, len(lengths)).astype(np.float64)

        own_items = np.where(is_new, NEWCOMER, items[found.newest])
        matches = top_items[rows] == own_items[:, None]  # (C, K)
        listed = matches.any(axis=1)
        columns = matches.argmax(axis=1)
        chances = top_probs.astype(np.float64)
        # An item of the window that is not among the best is as good as improbable.
        own = np.where(listed, chances[rows, columns], 0.0)
        newcomers = total(np.where(is_new, shares, 0.0))
        kept = (1 - blind) * (1 - newcomers)
        elsewhere = 1 - total(own)
        # The network's part of the items outside of the window, and the curve's.
        left = blind * np.maximum(0.0, 1 - total(shares))
        scales = kept + np.where(elsewhere > _LEAST, left / np.maximum(elsewhere, _LEAST), 0.0)
        shares = np.where(is_new, shares, kept[rows] * own + blind[rows] * shares)
        chances *= scales[:, None]
        chances[rows[listed], columns[listed]] = shares[listed]
        distinct = np.array(names, dtype=object)[found.newest]
        categories: Names = np.full(len(distinct), None, dtype=object)
        categories[is_new] = own_categories(
            sequences, self._longest, rows[is_new], distinct[is_new]
        )
        return Mixtures(
            top_items, chances, scales, rows, distinct, own_items, shares, listed, categories
        )

    def _number(self, names: list[str]) -> Ints:
        """The catalogue's index of each item, and numbers from its length on for the others."""
        items = self._catalogue.codes(names)
        numbers: dict[str, int] = {}
        for at in np.flatnonzero(items == UNKNOWN).tolist():
            items[at] = len(self._catalogue) + numbers.setdefault(names[at], len(numbers))
        return items

    def _candidates(self, sequences: Batch[Sequence], items: Ints, lengths: Ints) -> Candidates:
        actions = chain.from_iterable(s.actions[-self._longest :] for s in sequences)
        times_ms = chain.from_iterable(s.times_ms[-self._longest :] for s in sequences)
        return candidates(
            items,
            np.fromiter(map(self._actions.get, actions, repeat(UNKNOWN)), np.int64, len(items)),
            np.fromiter(times_ms, np.int64, len(items)),
            lengths,
            np.array([s.now_ms for s in sequences], dtype=np.int64),
        )
