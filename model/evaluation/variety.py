"""The variety of answers: their coverage of the catalogue, their novelty and diversity."""

import numpy as np
import numpy.typing as npt

from model.baselines.baseline import NOTHING
from model.catalogue import NO_CATEGORY, Catalogue

Lists = npt.NDArray[np.int32]  # (Q, k) catalogue indices, best first, then NOTHING


def variety_figures(lists: Lists, catalogue: Catalogue) -> dict[str, float | None]:
    """Coverage, novelty and diversity of the answers."""
    return {
        "coverage": coverage(lists, len(catalogue)),
        "novelty_bits": novelty_bits(lists, catalogue),
        "diversity": diversity(lists, catalogue),
    }


def coverage(lists: Lists, items: int) -> float:
    """The share of the catalogue that is in at least one answer."""
    return len(np.unique(lists[lists != NOTHING])) / items


def novelty_bits(lists: Lists, catalogue: Catalogue) -> float | None:
    """Mean of ``−log2(popularity share)`` over all items in the answers; None without any.

    Shares are those of the artifact's catalogue; an item that was never acted on counts as 1, the
    least count of an item in the log.
    """
    counts = catalogue.counts.clip(min=1)
    bits = -np.log2(counts / counts.sum())
    named = lists[lists != NOTHING]
    return float(bits[named].mean()) if len(named) else None


def diversity(lists: Lists, catalogue: Catalogue) -> float | None:
    """The mean share of an answer's pairs of items that have different categories.

    Only pairs of items with a category count; None if no answer has such a pair.
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
