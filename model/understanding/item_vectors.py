"""The item vectors: what each network's ``item_vectors`` gives, from its weights with NumPy alone.

Torch takes longer to import than these take to compute.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from model.artifact.artifact import SHRUNK, WEIGHTS, Artifact
from model.errors import ScorerError, how_to_install

Vectors = npt.NDArray[np.float32]
Tensors = Mapping[str, npt.NDArray[Any]]

SHORTEST = 1e-12  # no division by 0, as in torch's normalize


def read_weights(artifact: Artifact) -> Tensors:
    """The artifact's weights by name; raises ``ArtifactError`` if it has none."""
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ModuleNotFoundError as error:
        raise ScorerError(f"item vectors need {error.name}; {how_to_install()}") from None
    if (shrunk := artifact.manifest.made.get(SHRUNK)) is not None:
        raise artifact.error(
            f"is shrunken and has no weights; use the artifact {shrunk['from']} that it was made "
            "from"
        )
    try:
        tensors: Tensors = load_file(artifact.path(WEIGHTS))
    except (SafetensorError, OSError) as error:
        raise artifact.error(
            f"{WEIGHTS} cannot be read ({error}); export the artifact again"
        ) from None
    return tensors


def item_vectors(artifact: Artifact) -> Vectors | None:
    """The vectors by item code, (V + 2, D); None for a network without any.

    Raises ``ArtifactError`` for weights that are not those of its network.
    """
    compute = COMPUTED.get(artifact.config.network)
    if compute is None:
        return None
    try:
        return compute(read_weights(artifact))
    except KeyError as error:
        raise artifact.error(
            f"{WEIGHTS} has no {error}, expected the weights of a {artifact.config.network}; "
            "export the artifact again"
        ) from None


def _of_sequence(tensors: Tensors) -> Vectors:
    """See ``SequenceModel.item_vectors``."""
    # Input and output share one table, which is written under one of its two names.
    table = tensors["item.weight"] if "item.weight" in tensors else tensors["out.weight"]
    vectors = np.array(table, dtype=np.float32)
    attributes = tensors["attribute.weight"]
    if len(attributes) > 1:  # more than the row of those that have none
        for column in tensors["item_attributes"].T:
            vectors += attributes[column]
    if "text.weight" in tensors:
        vectors += tensors["texts"].astype(np.float32) @ tensors["text.weight"].T
    return _unit(vectors)


def _of_mlp(tensors: Tensors) -> Vectors:
    """See ``MlpModel.item_vectors``, but of unit length."""
    return _unit(tensors["item.weight"] + tensors["attribute.weight"][tensors["item_attribute"]])


def _of_text(tensors: Tensors) -> Vectors:
    return tensors["item_vectors"].astype(np.float32)


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(lengths, SHORTEST)
    return unit


COMPUTED: dict[str, Callable[[Tensors], Vectors]] = {
    **dict.fromkeys(("transformer", "gru", "lstm"), _of_sequence),
    "mlp": _of_mlp,
    "bert": _of_text,
}
