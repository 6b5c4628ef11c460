"""The item tables: what a network knows of its items before training.

These are their categories, attribute values, frozen text vectors, and co-occurring items.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from model.catalogue import Catalogue
from model.data.attribute_codes import Attributes, number, value_names, with_category
from model.features import FIRST_ITEM
from model.networks.experts import support_of
from model.networks.sequence import SequenceModel
from model.training.sequence.co_occurrence import Counts, Neighbours, neighbours_of


class ItemTables(NamedTuple):
    """The tables of a sequence network, by catalogue index."""

    values: npt.NDArray[np.int32]  # (V, P) attribute value index + 1, 0 for none
    names: tuple[str, ...]  # of the attribute values, by index
    texts: npt.NDArray[np.float16]  # (V, W), W is 0 without texts
    neighbours: Neighbours
    together: tuple[Counts, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """The table sizes, as arguments of ``SequenceConfig``."""
        return {
            "attributes": len(self.names),
            "attributes_each": self.values.shape[1],
            "text_width": self.texts.shape[1],
            "companions": self.neighbours.items.shape[1],
        }

    def put(self, network: SequenceModel, catalogue: Catalogue) -> None:
        """Copy the tables into a network that was built with these sizes."""
        real = slice(FIRST_ITEM, None)
        network.item_category[real] = torch.from_numpy(catalogue.item_categories + 1)
        network.item_attributes[real] = torch.from_numpy(self.values)
        network.texts[real] = torch.from_numpy(self.texts)
        network.companions[real] = torch.from_numpy(self.neighbours.items + FIRST_ITEM)
        network.shares[:, real] = torch.from_numpy(self.neighbours.shares)
        for way, counts in enumerate(self.together):
            network.support[way, real] = support_of(torch.from_numpy(counts.sums)).int()


def build_tables(
    catalogue: Catalogue,
    attributes: Attributes,
    texts: npt.NDArray[np.float16] | None,
    together: tuple[Counts, ...],
) -> ItemTables:
    """Number the attribute values, categories included, and select the neighbours."""
    items = len(catalogue)
    if texts is None:
        texts = np.zeros((items, 0), dtype=np.float16)
    names = value_names(catalogue, attributes)
    values = number(with_category(catalogue, attributes), names)
    return ItemTables(values, names, texts, neighbours_of(together), together)
