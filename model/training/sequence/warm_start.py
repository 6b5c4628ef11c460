"""The warm start: weights copied from an older artifact for the names that both networks share.

Rows are matched by the names of items, attribute values, categories, actions and intents; all
other weights must have the same shape. What is new starts neutral: a new attribute value has a
vector of 0, and a new item has only the vector of its title and attributes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from model.artifact.artifact import ATTRIBUTES, MAX_TABLE_BYTES, Artifact
from model.artifact.network import load_network
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.data.dataset import TRAINED_UNTIL
from model.errors import ArtifactError
from model.features import FIRST_ITEM
from model.networks.sequence import SequenceModel

ITEMS = ("item.weight", "out.bias", "out.weight")


class Names(NamedTuple):
    """The names of the rows of a sequence network's tables, in order."""

    items: tuple[str, ...]
    attributes: tuple[str, ...]
    categories: tuple[str, ...]
    actions: tuple[str, ...]
    intents: tuple[str, ...]

    @classmethod
    def of(cls, catalogue: Catalogue, values: Sequence[str], config: ArtifactConfig) -> "Names":
        """The names of a network for this catalogue, these values and this configuration."""
        return cls(
            catalogue.items, tuple(values), catalogue.categories, config.actions, config.intents
        )

    def rows(self, parameter: str) -> tuple[tuple[str, ...], int] | None:
        """The names of a parameter's rows, and the number of unnamed rows before them."""
        named = {
            **dict.fromkeys(ITEMS, (self.items, FIRST_ITEM)),
            "attribute.weight": (self.attributes, 1),
            "action.weight": (self.actions, 1),
            "category.weight": (self.categories, 0),
            "category.bias": (self.categories, 0),
            "intent.2.weight": (self.intents, 0),
            "intent.2.bias": (self.intents, 0),
        }
        return named.get(parameter)


class Older(NamedTuple):
    """An older artifact's network, and the names of its rows."""

    artifact: Artifact
    network: SequenceModel
    names: Names

    @classmethod
    def open(cls, folder: Path) -> "Older":
        """Load the artifact; raises ``ArtifactError`` unless it holds a sequence network."""
        artifact = Artifact.open(folder)
        network = load_network(artifact)
        if not isinstance(network, SequenceModel):
            raise artifact.error(
                f"its network is {artifact.config.network}, which cannot start another; name the "
                "artifact of a transformer, GRU or LSTM, or leave --from out"
            )
        values: Sequence[str] = ()
        if ATTRIBUTES in artifact.manifest.files:
            values = artifact.read_object(ATTRIBUTES, MAX_TABLE_BYTES)["values"]
        names = Names.of(artifact.read_catalogue(), values, artifact.config)
        return cls(artifact, network, names)

    @property
    def made(self) -> dict[str, Any]:
        """The manifest's record of the warm start."""
        until_ms = self.artifact.manifest.data.get(TRAINED_UNTIL)
        return {"from": {"version": self.artifact.version, TRAINED_UNTIL: until_ms}}

    @torch.no_grad()
    def start(self, network: SequenceModel, names: Names) -> None:
        """Copy all shared weights into an untrained network.

        Raises ``ArtifactError`` if the two differ in type, width or depth, or if their titles
        were encoded by different encoders.
        """
        self._check(network)
        theirs = dict(self.network.named_parameters())
        for name, ours in network.named_parameters():
            if (rows := names.rows(name)) is not None:
                self._copy_rows(name, ours, theirs[name], rows)
            elif name in theirs:
                ours.copy_(theirs[name])
            else:
                ours.zero_()  # title weights, which the older network lacks
        network.attribute.weight[self._unknown(names.attributes, "attribute.weight")] = 0
        self._start_new_items(network, names)

    def _copy_rows(
        self, name: str, ours: Tensor, theirs: Tensor, rows: tuple[tuple[str, ...], int]
    ) -> None:
        own, before = rows
        found = self.names.rows(name)
        assert found is not None, "both have the same parameters"
        row_of = {name: before + index for index, name in enumerate(found[0])}
        to = [before + index for index, name in enumerate(own) if name in row_of]
        ours[:before] = theirs[:before]
        ours[to] = theirs[[row_of[name] for name in own if name in row_of]]

    def _unknown(self, own: tuple[str, ...], parameter: str) -> list[int]:
        found = self.names.rows(parameter)
        assert found is not None, "its rows have names"
        known = set(found[0])
        return [found[1] + index for index, name in enumerate(own) if name not in known]

    def _start_new_items(self, network: SequenceModel, names: Names) -> None:
        new = torch.tensor(self._unknown(names.items, "item.weight"), dtype=torch.long)
        described = network.item_vectors(new, torch.zeros(len(new), 1)).norm(dim=1) > 0
        # Items without title and attributes keep their random vector: 0 cannot be normalised.
        network.item.weight[new[described]] = 0
        network.out.bias[new] = self.network.out.bias[FIRST_ITEM:].median()

    def _check(self, network: SequenceModel) -> None:
        older, newer = self.network.config, network.config
        for name, expected, found in (
            ("network", newer.model_type, older.model_type),
            ("width", newer.width, older.width),
            ("number of blocks", newer.blocks, older.blocks),
            ("text encoder", _encoder(newer), _encoder(older) or _encoder(newer)),
        ):
            if found != expected:
                raise self._misfit(f"its {name} is {found}, this training's is {expected}")
        theirs = dict(self.network.named_parameters())
        for name, ours in network.named_parameters():
            first = 0 if self.names.rows(name) is None else 1  # rows are matched by name
            if name in theirs and theirs[name].shape[first:] != ours.shape[first:]:
                shapes = f"{list(theirs[name].shape)}, this training's {list(ours.shape)}"
                raise self._misfit(f"its {name} has the shape {shapes}")

    def _misfit(self, line: str) -> ArtifactError:
        return self.artifact.error(f"{line}; train with the same, or leave --from out")


def _encoder(config: Any) -> str | None:
    return (config.text_source or {}).get("sha256")
