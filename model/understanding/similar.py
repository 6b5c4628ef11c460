"""The similar items: the nearest neighbours of an item, by behaviour or by text.

Behaviour compares the item vectors that the model learnt from the users' actions; text compares
those that a frozen encoder computed from the titles. Both use the cosine similarity.
"""

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from model.artifact.artifact import Artifact
from model.catalogue import NO_CATEGORY, Catalogue
from model.errors import ArtifactError, DataError
from model.features import FIRST_ITEM
from model.understanding.item_vectors import item_vectors, read_weights

Vectors = npt.NDArray[np.float32]
By = Literal["behaviour", "text", "both"]

_NO_VECTOR = {
    "behaviour": "nobody had acted on the item when the model was trained, so it cannot be "
    "compared by behaviour; use --by text",
    "text": "the item had no title when the model was trained, so it cannot be compared by text; "
    "use --by behaviour",
}
TEXTS = "texts"  # the buffer of a network that holds one text vector for each item


class Neighbour(NamedTuple):
    """An item and its cosine similarity to the given one; 1 is the same direction."""

    item_id: str
    category: str | None
    cosine: float


def similar(artifact: Artifact, item: str, by: By, top: int) -> list[Neighbour]:
    """The ``top`` nearest items, the nearest first; ``both`` is the mean of the two cosines.

    Raises ``DataError`` for an item without a vector, ``ArtifactError`` if the artifact has no
    such vectors, ``ScorerError`` if a library is missing.
    """
    catalogue = artifact.read_catalogue()
    code = catalogue.find(item)
    readers = {"behaviour": behaviour_vectors, "text": text_vectors}
    chosen = readers if by == "both" else {by: readers[by]}
    cosines = [_cosines(read(artifact, catalogue), code, name) for name, read in chosen.items()]
    return _nearest(np.mean(cosines, axis=0), code, catalogue, top)


def behaviour_vectors(artifact: Artifact, catalogue: Catalogue) -> Vectors:
    """The network's item vectors, (V, D). Raises ``ArtifactError`` if it has none."""
    vectors = item_vectors(artifact)
    if vectors is None:
        raise artifact.error(
            f"its network, {artifact.config.network}, has no item vectors; use the artifact of a "
            "transformer, or --by text"
        )
    return _rows(artifact, vectors, catalogue)


def text_vectors(artifact: Artifact, catalogue: Catalogue) -> Vectors:
    """The frozen vectors of the items' texts, (V, T). Raises ``ArtifactError`` without any."""
    tensors = read_weights(artifact)
    names = [name for name in tensors if name.rpartition(".")[2] == TEXTS]
    if not names:
        raise artifact.error(
            "has no text vectors; train with --items that have titles, or use --by behaviour"
        )
    return _rows(artifact, tensors[names[0]].astype(np.float32), catalogue)


def _rows(artifact: Artifact, vectors: Vectors, catalogue: Catalogue) -> Vectors:
    """The vectors without the leading rows of codes that are not items, if there are any."""
    extra = len(vectors) - len(catalogue)
    if extra not in (0, FIRST_ITEM):
        raise ArtifactError(
            f"{artifact.folder}: has {len(vectors)} item vectors for {len(catalogue)} items; "
            "export the artifact again"
        )
    return vectors[extra:]


def _cosines(vectors: Vectors, code: int, name: str) -> Vectors:
    """The cosine of each item to one, (V,); minus infinity for an item without a vector."""
    lengths = np.linalg.norm(vectors, axis=1)
    if lengths[code] == 0:
        raise DataError(_NO_VECTOR[name])
    known = lengths > 0
    cosines = vectors @ vectors[code] / np.where(known, lengths * lengths[code], 1)
    return np.where(known, cosines, -np.inf).astype(np.float32)


def _nearest(cosines: Vectors, code: int, catalogue: Catalogue, top: int) -> list[Neighbour]:
    order = np.argsort(-cosines, kind="stable")
    order = order[(order != code) & np.isfinite(cosines[order])][:top]
    return [
        Neighbour(catalogue.items[index], _category(catalogue, index), float(cosines[index]))
        for index in order.tolist()
    ]


def _category(catalogue: Catalogue, index: int) -> str | None:
    code = int(catalogue.item_categories[index])
    return None if code == NO_CATEGORY else catalogue.categories[code]
