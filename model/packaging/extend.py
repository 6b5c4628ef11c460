"""The extension: adds new items to an artifact by their titles and attributes, without training.

A new item's vector is the sum of the vectors of its text and its attribute values. It has no id
embedding, and its popularity is set to that of rare items.
"""

import shutil
from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from model.artifact.artifact import (
    ATTRIBUTES,
    CATALOGUE,
    GRAPH,
    MAX_TABLE_BYTES,
    NETWORK_CONFIG,
    WEIGHTS,
    Artifact,
    ArtifactWriter,
)
from model.artifact.network import load_network
from model.catalogue import NO_CATEGORY, Catalogue
from model.data.attribute_codes import number, with_category
from model.data.log import Item
from model.errors import ArtifactError, DataError
from model.features import FIRST_ITEM
from model.networks.sequence import SequenceModel
from model.packaging.export import export_onnx

if TYPE_CHECKING:
    from model.networks.text_encoder import Vectors

RARE_SHARE = 0.1  # the least popular share of the items with actions
REWRITTEN = (CATALOGUE, GRAPH, NETWORK_CONFIG, WEIGHTS)


def extend(
    artifact: Artifact,
    items: Sequence[Item],
    folder: Path,
    *,
    encoder: Path | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Write a copy of the artifact with its missing items appended.

    Unknown attribute values are ignored. ``encoder`` is the folder of the text encoder that the
    artifact was trained with, None for the package's. Raises ``ArtifactError`` for an artifact
    without titles and attributes, ``DataError`` if no item is new.
    """
    with ArtifactWriter(folder, overwrite=overwrite) as writer:
        network = _open(artifact)
        catalogue = artifact.read_catalogue()
        new = [item for item in items if item.item_id not in catalogue.index]
        if not new:
            raise DataError(f"none of the {len(items)} items is new to {artifact.folder}")
        larger = _with_items(catalogue, new)
        grown = grow(network, len(new))
        _describe(grown, artifact, larger, new, encoder)
        grown.out.bias.data[FIRST_ITEM + len(catalogue) :] = rare_bias(network, catalogue)
        return _write(artifact, writer, larger, grown)


def grow(network: SequenceModel, items: int) -> SequenceModel:
    """Copy the network with zeroed rows for ``items`` more items at the end."""
    config: Any = deepcopy(network.config)
    config.items += items
    grown: SequenceModel = type(network)(config)
    nn.Module.eval(grown)
    for name, own in network.state_dict().items():
        target = grown.state_dict()[name]
        target.zero_()[tuple(slice(size) for size in own.shape)] = own
    return grown


def rare_bias(network: SequenceModel, catalogue: Catalogue) -> float:
    """The median bias of the least popular tenth of the items with actions."""
    counts = catalogue.counts
    acted_on = np.flatnonzero(counts > 0)
    rarest = acted_on[np.argsort(counts[acted_on], kind="stable")]
    rarest = rarest[: max(1, round(RARE_SHARE * len(rarest)))]
    bias = network.out.bias.detach().numpy()[FIRST_ITEM:]
    return float(np.median(bias[rarest if len(rarest) else slice(None)]))


def _open(artifact: Artifact) -> SequenceModel:
    network = load_network(artifact)
    config = network.config
    if not isinstance(network, SequenceModel) or not (config.attributes or config.text_width):
        raise artifact.error(
            f"its network ({artifact.config.network}) uses neither titles nor attributes of "
            "items; train it with --items that have a title, a category or other columns"
        )
    return network


def _with_items(catalogue: Catalogue, new: Sequence[Item]) -> Catalogue:
    index = {name: number for number, name in enumerate(catalogue.categories)}
    categories = [NO_CATEGORY if i.category is None else index.get(i.category, -1) for i in new]
    return Catalogue(
        (*catalogue.items, *(item.item_id for item in new)),
        catalogue.categories,
        np.append(catalogue.item_categories, np.array(categories, dtype=np.int64)),
        np.append(catalogue.counts, np.zeros(len(new), dtype=np.int64)),
    )


def _describe(
    grown: SequenceModel,
    artifact: Artifact,
    catalogue: Catalogue,
    new: Sequence[Item],
    encoder: Path | None,
) -> None:
    """Fill the tables of the new items, which are the last rows."""
    own = len(catalogue) - len(new)
    last = slice(FIRST_ITEM + own, None)
    categories = catalogue.item_categories[own:]
    grown.item_category[last] = torch.from_numpy(categories + 1).int()
    known = artifact.read_object(ATTRIBUTES, MAX_TABLE_BYTES)["values"]
    just_new = Catalogue(
        catalogue.items[own:], catalogue.categories, categories, catalogue.counts[own:]
    )
    whole = with_category(just_new, tuple(item.attributes for item in new))
    values = torch.from_numpy(number(whole, tuple(known)))
    _widen(grown, values.shape[1])
    grown.item_attributes[last, : values.shape[1]] = values
    if grown.config.text_width:
        titles = [item.title or "" for item in new]
        grown.texts[last] = torch.from_numpy(_encode(artifact, grown, titles, encoder)).half()


def _widen(network: SequenceModel, most: int) -> None:
    """Widen the attribute table to ``most`` attributes per item."""
    missing = most - network.config.attributes_each
    if missing > 0:
        table = network.item_attributes
        network.item_attributes = nn.functional.pad(table, (0, missing))
        network.config.attributes_each = most


def _encode(
    artifact: Artifact, network: SequenceModel, titles: list[str], folder: Path | None
) -> "Vectors":
    from model.networks.text_encoder import (
        TextEncoder,  # lazily: only needed by a network with titles
    )

    encoder, source = TextEncoder.open(folder), network.config.text_source or {}
    if encoder.source.sha256 != source.get("sha256"):
        raise ArtifactError(
            f"{artifact.folder}: its titles were encoded by {source.get('name')} "
            f"{source.get('sha256', '')[:12]}…, this encoder is {encoder.source.name} "
            f"{encoder.source.sha256[:12]}…; name the former with --encoder"
        )
    return encoder.encode(titles)


def _write(
    artifact: Artifact, writer: ArtifactWriter, catalogue: Catalogue, network: SequenceModel
) -> Artifact:
    for name in artifact.manifest.files:
        if name not in REWRITTEN:
            shutil.copyfile(artifact.path(name), writer.draft / name)
    writer.write_object(CATALOGUE, catalogue.to_json())
    network.save_pretrained(writer.draft)
    export_onnx(network, artifact.config, writer.draft)
    manifest = artifact.manifest
    added = {"extended_from": artifact.version, "new_items": len(catalogue) - manifest.items}
    return writer.seal(
        artifact.config,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=manifest.data,
        made={**manifest.made, **added},
    )
