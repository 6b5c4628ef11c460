"""The attribute codes: the attribute values of a catalogue's items, numbered for a network."""

import numpy as np
import numpy.typing as npt

from model.catalogue import NO_CATEGORY, Catalogue

Attributes = tuple[tuple[str, ...], ...]  # of each item of a catalogue, in its order


def value_names(catalogue: Catalogue, attributes: Attributes) -> tuple[str, ...]:
    """All attribute values, a category being one, in the order in which they are numbered."""
    whole = with_category(catalogue, attributes)
    return tuple(sorted({value for own in whole for value in own}))


def with_category(catalogue: Catalogue, attributes: Attributes) -> Attributes:
    """The attributes with each item's category in front, as one of them."""
    names = [f"category={name}" for name in catalogue.categories]
    return tuple(
        own if category == NO_CATEGORY else (names[category], *own)
        for own, category in zip(attributes, catalogue.item_categories.tolist(), strict=True)
    )


def number(attributes: Attributes, names: tuple[str, ...]) -> npt.NDArray[np.int32]:
    """Which of the names + 1 each item has, (V, P), 0 for none; others are left out."""
    place = {name: number + 1 for number, name in enumerate(names)}
    known = [[place[value] for value in own if value in place] for own in attributes]
    values = np.zeros((len(known), max(1, max(map(len, known), default=0))), dtype=np.int32)
    for row, own in enumerate(known):
        values[row, : len(own)] = own
    return values
