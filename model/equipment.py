"""The equipment: what a network knows of its items before it learns anything.

Their categories, the values of their attributes, the frozen vectors of their texts, and which of
them go together.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from model.catalogue import NO_CATEGORY, Catalogue
from model.networks.experts import support_of
from model.networks.places import FIRST_ITEM
from model.networks.sequence import SequenceModel
from model.rules import Companions, Counts, companions

Attributes = tuple[tuple[str, ...], ...]  # of each item of a catalogue, in its order


class Equipment(NamedTuple):
    """The tables of a sequence network, by catalogue index."""

    values: npt.NDArray[np.int32]  # (V, P) which attribute value + 1, 0 for none
    n_values: int
    texts: npt.NDArray[np.float16]  # (V, W), W is 0 without texts
    companions: Companions
    together: tuple[Counts, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """What a ``SequenceConfig`` says of them."""
        return {
            "attributes": self.n_values,
            "attributes_each": self.values.shape[1],
            "text_width": self.texts.shape[1],
            "companions": self.companions.items.shape[1],
        }

    def put(self, network: SequenceModel, catalogue: Catalogue) -> None:
        """Fill the tables of a network that was made with these sizes."""
        real = slice(FIRST_ITEM, None)
        network.item_category[real] = torch.from_numpy(catalogue.item_categories + 1)
        network.item_attributes[real] = torch.from_numpy(self.values)
        network.texts[real] = torch.from_numpy(self.texts)
        network.companions[real] = torch.from_numpy(self.companions.items + FIRST_ITEM)
        network.shares[:, real] = torch.from_numpy(self.companions.shares)
        for way, counts in enumerate(self.together):
            network.support[way, real] = support_of(torch.from_numpy(counts.sums)).int()


def prepare(
    catalogue: Catalogue,
    attributes: Attributes,
    texts: npt.NDArray[np.float16] | None,
    together: tuple[Counts, ...],
) -> Equipment:
    """Number the attribute values, a category being one, and pick the companions."""
    items = len(catalogue)
    if texts is None:
        texts = np.zeros((items, 0), dtype=np.float16)
    values, n_values = _numbered(_with_category(catalogue, attributes))
    return Equipment(values, n_values, texts, companions(together), together)


def _with_category(catalogue: Catalogue, attributes: Attributes) -> Attributes:
    names = [f"category={name}" for name in catalogue.categories]
    return tuple(
        own if category == NO_CATEGORY else (names[category], *own)
        for own, category in zip(attributes, catalogue.item_categories.tolist(), strict=True)
    )


def _numbered(attributes: Attributes) -> tuple[npt.NDArray[np.int32], int]:
    place = {value: n + 1 for n, value in enumerate(sorted({v for own in attributes for v in own}))}
    width = max(1, max(map(len, attributes), default=0))
    values = np.zeros((len(attributes), width), dtype=np.int32)
    for row, own in enumerate(attributes):
        values[row, : len(own)] = [place[value] for value in own]
    return values, len(place)
