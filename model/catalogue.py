"""The catalogue: the items a model knows, with the category and popularity of each."""

from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import DataError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HALF_LIFE_S = 7 * 86_400.0
PER_EVENT = 1_000  # counts are in thousandths of an event that happens now
NO_CATEGORY = -1
UNKNOWN = -1


def decays(times_ms: Ints, now_ms: int) -> Floats:
    """The weight of each event: halved for each half-life before ``now_ms``, at most 1."""
    weights: Floats = 2.0 ** (-(now_ms - times_ms).clip(min=0) / 1000 / HALF_LIFE_S)
    return weights


class Catalogue:
    """Items in index order; immutable.

    For each item, ``item_categories`` holds an index into ``categories``, or ``NO_CATEGORY``, and
    ``counts`` how often it was acted on in the training data.
    """

    def __init__(
        self,
        items: Sequence[str],
        categories: Sequence[str],
        item_categories: npt.ArrayLike,
        counts: npt.ArrayLike,
    ) -> None:
        """Check that the columns match; raises ``ValueError`` with one line if not."""
        self.items = tuple(items)
        self.categories = tuple(categories)
        self.item_categories = _column(item_categories, len(self.items), "categories")
        self.counts = _column(counts, len(self.items), "counts")
        self.index = {item: index for index, item in enumerate(self.items)}
        self._check()

    def _check(self) -> None:
        if not self.items:
            raise ValueError("the catalogue has no items, expected at least one")
        if len(self.index) != len(self.items):
            raise ValueError(
                f"the catalogue has {len(self.items)} items but {len(self.index)} distinct ids; "
                "each id may occur only once"
            )
        if len(set(self.categories)) != len(self.categories):
            raise ValueError("the catalogue has a category twice; each name may occur only once")
        low, high = int(self.item_categories.min()), int(self.item_categories.max())
        if low < NO_CATEGORY or high >= len(self.categories):
            raise ValueError(
                f"the catalogue's categories run from {low} to {high}, expected "
                f"{NO_CATEGORY} (none) to {len(self.categories) - 1}"
            )
        if int(self.counts.min()) < 0:
            raise ValueError(f"the catalogue has a count of {self.counts.min()}, expected ≥ 0")

    def __len__(self) -> int:
        return len(self.items)

    @classmethod
    def from_names(
        cls,
        items: Sequence[str],
        category_of: Sequence[str | None],
        counts: npt.ArrayLike,
    ) -> "Catalogue":
        """Build from one category name (or None) per item; categories come out sorted."""
        names = sorted({name for name in category_of if name is not None})
        position = {name: index for index, name in enumerate(names)}
        codes = [NO_CATEGORY if name is None else position[name] for name in category_of]
        return cls(items, names, codes, counts)

    def find(self, item: str) -> int:
        """The index of an item; raises ``DataError`` if it is not in the catalogue."""
        code = self.index.get(item)
        if code is None:
            raise DataError(
                f"item {item!r} is not in the catalogue of {len(self)} items (such as "
                f"{self.items[0]!r}); name one that the model was trained on"
            )
        return code

    def codes(self, items: Sequence[str]) -> Ints:
        """The index of each item, or ``UNKNOWN`` if it is not in the catalogue."""
        found = map(self.index.get, items, repeat(UNKNOWN))
        return np.fromiter(found, dtype=np.int64, count=len(items))

    def shares(self, counts: Ints) -> Floats:
        """The share of each item in the given counts (V,); equal shares if all are 0."""
        total = int(counts.sum())
        if total == 0:
            return np.full(len(self), 1 / len(self))
        return counts / total

    def category_of(self, item: str) -> str | None:
        """The category of an item; None if it has none, or is not in the catalogue."""
        index = self.index.get(item)
        code = NO_CATEGORY if index is None else int(self.item_categories[index])
        return None if code == NO_CATEGORY else self.categories[code]

    def category_shares(self, counts: Ints) -> Floats:
        """The share of each category in the given item counts (V,)."""
        known = self.item_categories != NO_CATEGORY
        shares = np.zeros(len(self.categories))
        np.add.at(shares, self.item_categories[known], self.shares(counts)[known])
        total = shares.sum()
        return shares / total if total > 0 else shares

    def counting(self, counts: Ints) -> "Catalogue":
        """The same items with other counts (V,)."""
        return Catalogue(self.items, self.categories, self.item_categories, counts)

    def to_json(self) -> dict[str, Any]:
        """The columns as JSON types."""
        return {
            "items": list(self.items),
            "categories": list(self.categories),
            "item_categories": self.item_categories.tolist(),
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_json(cls, columns: dict[str, Any]) -> "Catalogue":
        """Rebuild from ``to_json``; raises ``ValueError`` for a missing or invalid column."""
        for name in ("items", "categories"):
            _check_list(columns.get(name), name, str)
        for name in ("item_categories", "counts"):
            _check_list(columns.get(name), name, int)
        return cls(
            columns["items"],
            columns["categories"],
            columns["item_categories"],
            columns["counts"],
        )


def _check_list(values: Any, name: str, wanted: type) -> None:
    if not isinstance(values, list) or not all(type(value) is wanted for value in values):
        raise ValueError(f"the catalogue's {name} are not a list of {wanted.__name__}")


def _column(values: npt.ArrayLike, length: int, name: str) -> Ints:
    column = np.asarray(values)
    if column.shape != (length,):
        raise ValueError(
            f"the catalogue has {length} items but {column.size} {name}; expected one for each"
        )
    if column.size and not np.issubdtype(column.dtype, np.integer):
        raise ValueError(f"the catalogue's {name} are {column.dtype}, expected integers")
    return column.astype(np.int64)
