"""The attribute codes: numbers the attribute values of a catalogue's items for a network."""

import numpy as np
import numpy.typing as npt

from model.catalogue import NO_CATEGORY, Catalogue

Attributes = tuple[tuple[str, ...], ...]  # of each item of a catalogue, in its order


def value_names(catalogue: Catalogue, attributes: Attributes) -> tuple[str, ...]:
    """All attribute values, including the categories, in the order of their numbers."""
    whole = with_category(catalogue, attributes)
    return tuple(sorted({value for own in whole for value in own}))


def with_category(catalogue: Catalogue, attributes: Attributes) -> Attributes:
    """The attributes of each item with its category prepended."""
    names = [f"category={name}" for name in catalogue.categories]
    return tuple(
        own if category == NO_CATEGORY else (names[category], *own)
        for own, category in zip(attributes, catalogue.item_categories.tolist(), strict=True)
    )


def number(attributes: Attributes, names: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """Each item's values as positions in ``names`` + 1, (V, P), padded with 0.

    Values that are not in ``names`` are left out.
    """
    codes = {name: code for code, name in enumerate(names, start=1)}
    known = [[codes[value] for value in own if value in codes] for own in attributes]
    values = np.zeros((len(known), max(1, max(map(len, known), default=0))), dtype=np.int32)
    for row, own in enumerate(known):
        values[row, : len(own)] = own
    return values
