"""The newcomers: names the items of a window that the catalogue lacks, beside the network's own.

The network reads them as unknown items and gives them no probability; the copy curve does.
"""

from collections.abc import Sequence as Batch
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.artifact.copying import CopyCurve, candidates
from model.catalogue import UNKNOWN, Catalogue
from model.config import ArtifactConfig
from model.outputs import Reals
from model.sequence import Sequence

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_LEAST = 1e-9  # a probability below which nothing is left for other items


class Mixture(NamedTuple):
    """How the probabilities of one sequence change, and the items to add."""

    names: tuple[str, ...]  # (U,) the newcomers, newest first
    shares: Floats  # (U,) their probabilities
    window: Ints  # (K,) catalogue indices of the window's other items, newest first
    window_shares: Floats  # (K,) their new probabilities
    scale: float  # of the probability of every other item

    def whole(self, chances: Floats) -> Floats:
        """The probabilities of the catalogue (V,) and of the newcomers, (V + U,)."""
        mixed = np.append(chances * self.scale, self.shares)
        mixed[self.window] = self.window_shares
        return mixed

    def best(self, items: Ints, chances: Floats, count: int) -> tuple[Ints, Floats]:
        """The likeliest of all, given the network's best; newcomer k is the index -1 - k.

        Among equals the network's order comes first, then the newer item.
        """
        others = ~np.isin(items, self.window)
        named = np.concatenate([items[others], self.window, -1 - np.arange(len(self.names))])
        mixed = np.concatenate([chances[others] * self.scale, self.window_shares, self.shares])
        order = np.argsort(-mixed, kind="stable")[:count]
        return named[order], mixed[order]


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

    def mix(self, sequences: Batch[Sequence], top_items: Ints, top_probs: Reals) -> list[Mixture]:
        """A mixture for each of these sequences with newcomers, given the network's best (B, K)."""
        lengths = np.array([min(len(s.items), self._longest) for s in sequences], dtype=np.int64)
        names = list(chain.from_iterable(s.items[-self._longest :] for s in sequences))
        items = self._number(names)
        unknown = items >= len(self._catalogue)
        actions = chain.from_iterable(s.actions[-self._longest :] for s in sequences)
        times_ms = chain.from_iterable(s.times_ms[-self._longest :] for s in sequences)
        found = candidates(
            items,
            np.fromiter(map(self._actions.get, actions, repeat(UNKNOWN)), np.int64, len(items)),
            np.fromiter(times_ms, np.int64, len(items)),
            lengths,
            np.array([s.now_ms for s in sequences], dtype=np.int64),
        )
        items, is_new = items[found.newest], unknown[found.newest]
        weights = self._curve.weights(found.cells) * np.where(is_new, self._curve.new, 1.0)
        totals = 1 + np.bincount(found.rows, weights, len(lengths))
        shares = weights / totals[found.rows]
        blind = np.sqrt(np.add.reduceat(unknown, np.cumsum(lengths) - lengths) / lengths)
        ends = np.cumsum(np.bincount(found.rows, minlength=len(lengths)))
        mixtures = []
        for row, part in enumerate(map(slice, np.append(0, ends[:-1]), ends)):
            own, new = shares[part], is_new[part]
            mixtures.append(
                _mixture(
                    tuple(names[at] for at in found.newest[part][new].tolist()),
                    own[new],
                    items[part][~new],
                    own[~new],
                    (top_items[row], top_probs[row].astype(np.float64)),
                    float(blind[row]),
                )
            )
        return mixtures

    def _number(self, names: list[str]) -> Ints:
        """The catalogue's index of each item, and numbers from its length on for the others."""
        items = self._catalogue.codes(names)
        numbers: dict[str, int] = {}
        for at in np.flatnonzero(items == UNKNOWN).tolist():
            items[at] = len(self._catalogue) + numbers.setdefault(names[at], len(numbers))
        return items


def _mixture(
    names: tuple[str, ...],
    shares: Floats,
    window: Ints,
    copied: Floats,
    best: tuple[Ints, Floats],
    blind: float,
) -> Mixture:
    """The mixture of one sequence.

    ``shares`` (U,) and ``copied`` (K,) are the curve's probabilities of its newcomers and of its
    other items, ``best`` the network's best items, ``blind`` the curve's part.
    """
    items, chances = best
    # An item of the window that is not among the best is as good as improbable.
    own = (chances * (window[:, None] == items)).sum(axis=1)  # (K,)
    kept = (1 - blind) * (1 - shares.sum())
    scale = kept
    if (elsewhere := 1 - own.sum()) > _LEAST:
        scale += blind * max(0.0, 1 - shares.sum() - copied.sum()) / elsewhere
    return Mixture(names, shares, window, kept * own + blind * copied, float(scale))
