"""The categories of newcomers: each has that of its own events, and counts in the score's.

A category that the model does not know is one more category, under its own name.
"""

from collections import defaultdict
from collections.abc import Mapping
from collections.abc import Sequence as Batch

import numpy as np
import numpy.typing as npt

from model.catalogue import NO_CATEGORY
from model.outputs import Reals
from model.sequence import Sequence

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]

NO_ROW = -1.0  # the probability where a row has no category


def own_categories(sequences: Batch[Sequence], longest: int, rows: Ints, items: Names) -> Names:
    """The category of each item (C,), of the newest event in its row's window that named one.

    ``longest`` is the length of a window. None where no event did.
    """
    found: Names = np.full(len(items), None, dtype=object)
    if not any(sequence.category_names for sequence in sequences):
        return found
    known: dict[int, dict[str, str]] = {}
    for place, (row, item) in enumerate(zip(rows.tolist(), items.tolist(), strict=True)):
        if row not in known:
            known[row] = _by_item(sequences[row], longest)
        found[place] = known[row].get(item)
    return found


def number(rows: Batch[int], names: Batch[str | None], index: Mapping[str, int]) -> Ints:
    """The code of each category, ``NO_CATEGORY`` for None; ``index`` has those that are known.

    The others of a row are numbered from the length of ``index`` on, in their order.
    """
    new: dict[int, dict[str, int]] = defaultdict(dict)
    codes = np.full(len(names), NO_CATEGORY, dtype=np.int64)
    for place, (row, name) in enumerate(zip(rows, names, strict=True)):
        if name is None:
            continue
        code = index.get(name)
        if code is None:
            code = len(index) + new[row].setdefault(name, len(new[row]))
        codes[place] = code
    return codes


def mix(probs: Reals, rows: Ints, codes: Ints, shares: Floats) -> Floats:
    """The probabilities (B, C) with the newcomers' (N,) added to their categories, (B, C + U).

    What a row gives its newcomers, its other categories lose in their proportions. ``NO_ROW``
    where a row has none of the new categories.
    """
    size, known = probs.shape
    width = max(known, int(codes.max(initial=-1)) + 1)
    left = 1 - np.bincount(rows, shares, size)
    mixed = np.full((size, width), NO_ROW)
    mixed[:, :known] = probs * left[:, None]
    mixed[rows, codes] = np.maximum(mixed[rows, codes], 0)
    np.add.at(mixed, (rows, codes), shares)
    return mixed


def _by_item(sequence: Sequence, longest: int) -> dict[str, str]:
    names, indices = sequence.category_names, sequence.category_indices[-longest:]
    # A later action comes after an earlier one, and replaces it.
    pairs = zip(sequence.items[-longest:], indices, strict=False)
    return {item: names[index - 1] for item, index in pairs if index}
