"""The variety of answers: how much of the shop they show, how little known, and how mixed."""

import numpy as np
import numpy.typing as npt

from model.baselines.baseline import NOTHING
from model.catalogue import NO_CATEGORY, Catalogue

Lists = npt.NDArray[np.int32]  # (Q, k) catalogue indices, best first, then NOTHING


def variety_figures(lists: Lists, catalogue: Catalogue) -> dict[str, float | None]:
    """Coverage, novelty and diversity of the answers; see each."""
    return {
        "coverage": coverage(lists, len(catalogue)),
        "novelty_bits": novelty_bits(lists, catalogue),
        "diversity": diversity(lists, catalogue),
    }


def coverage(lists: Lists, items: int) -> float:
    """The share of the catalogue that is in at least one answer."""
    return len(np.unique(lists[lists != NOTHING])) / items


def novelty_bits(lists: Lists, catalogue: Catalogue) -> float | None:
    """Mean of ``−log2(popularity share)`` over all items named; None if none is.

    Shares are those of the artifact's catalogue, where an item that was never acted on counts as
    little as the least that an item in the log can.
    """
    counts = catalogue.counts.clip(min=1)
    bits = -np.log2(counts / counts.sum())
    named = lists[lists != NOTHING]
    return float(bits[named].mean()) if len(named) else None


def diversity(lists: Lists, catalogue: Catalogue) -> float | None:
    """The mean share of an answer's pairs of items that are of different categories.

    Only pairs of items that have a category count; None where no answer has such a pair.
    """
    categories = np.append(catalogue.item_categories, NO_CATEGORY)[lists]  # NOTHING is the last
    known = categories != NO_CATEGORY
    pairs, same = np.zeros(len(lists), dtype=np.int64), np.zeros(len(lists), dtype=np.int64)
    for apart in range(1, lists.shape[1]):
        both = known[:, apart:] & known[:, :-apart]
        pairs += both.sum(axis=1)
        same += (both & (categories[:, apart:] == categories[:, :-apart])).sum(axis=1)
    some = pairs > 0
    return float((1 - same[some] / pairs[some]).mean()) if some.any() else None
