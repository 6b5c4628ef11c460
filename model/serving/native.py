"""The native engine: the encoder in ONNX Runtime, and the catalogue in one pass of the native core.

It serves an artifact that says so (``ArtifactConfig.catalogue_end``), and only that: its
probabilities differ from the graph's in the last digits. See docs/adr/0035-native-catalogue-end.md.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model import native
from model.artifact.artifact import GRAPH, Artifact
from model.errors import ScorerError
from model.features import FIRST_ITEM, Padded
from model.outputs import Outputs, Reals
from model.serving.graph_file import GraphFile
from model.serving.onnx import OnnxScorer
from model.serving.options import NO_OPTIONS, ScoringOptions
from model.serving.refining import PROBABILITIES, USER_VECTORS

# The outputs of the graph that the core starts from, and those that are answers already.
ENCODED = (USER_VECTORS, "copy_logits", "rule_logits", "category_probs", "intent_logits")
TABLE, NEIGHBOURS, SHARES = "table", "neighbours", "neighbour_shares"  # initializers of the graph


class Neighbours(NamedTuple):
    """The neighbours of each item as rows end to end, by item code."""

    ends: npt.NDArray[np.int64]  # (V + 2,) of the rows
    items: npt.NDArray[np.int32]  # (N,) catalogue indices
    shares: Reals  # (E, N)

    @classmethod
    def of(cls, items: npt.NDArray[np.int32], shares: npt.NDArray[np.float16]) -> "Neighbours":
        """Drop those without a share from items (V + 2, M) and shares (V + 2, E, M)."""
        kept = (shares > 0).any(axis=1)
        by_way = [shares[:, way][kept] for way in range(shares.shape[1])]
        return cls(np.cumsum(kept.sum(axis=1)), items[kept], np.array(by_way, dtype=np.float32))


class NativeScorer(OnnxScorer):
    """Scores on one core; what needs the whole distribution is left to the graph."""

    def __init__(self, artifact: Artifact, options: ScoringOptions = NO_OPTIONS) -> None:
        """Load encoder and tables; raises ``ArtifactError`` if they do not fit, or without a core.

        Raises ``OptionsError`` if the options do not fit.
        """
        super().__init__(artifact, options)
        self._count = min(artifact.config.top_items, len(self.catalogue))
        self._table = None if self._needs_all else self._read_table()

    @property
    def _needs_all(self) -> bool:
        return PROBABILITIES in self._needs

    @property
    def _scored(self) -> tuple[str, ...]:
        return super()._scored if self._needs_all else ENCODED

    def _run_further(
        self, padded: Padded, names: tuple[str, ...]
    ) -> tuple[Outputs, dict[str, Reals]]:
        if self._table is None or PROBABILITIES in names:
            return super()._run_further(padded, names)
        queries, copies, rules, categories, intents = self._compute(ENCODED, padded)
        rows = len(queries)
        try:
            best = self._table.best(queries, copies, rules, padded.items, self._count)
        except ValueError as error:
            raise ScorerError(
                f"the native core cannot score {rows} sequences ({error}); the weights are broken: "
                "train and export again"
            ) from None
        items = np.frombuffer(best[0], np.int64).reshape(rows, self._count)
        chances = np.frombuffer(best[1], np.float32).reshape(rows, self._count)
        found = {USER_VECTORS: queries}
        return Outputs(items, chances, categories, intents), {name: found[name] for name in names}

    def _read_table(self) -> Any:
        if not native.AVAILABLE:
            raise self._artifact.error(
                f"its scores are those of the native core, which is missing ({native.REASON}); "
                "or let the graph serve a copy: lately artifact native --undo"
            )
        try:
            return native.core.ItemTable(*tables_of(self._read_graph(), len(self.catalogue)))
        except ValueError as error:
            raise self._artifact.error(
                f"{GRAPH} has no tables for the native core ({error}); export the artifact again"
            ) from None


def tables_of(graph: GraphFile, items: int) -> tuple[Reals, Reals, Neighbours]:
    """Item vectors (V, D), biases (V,) and neighbours; raises ``ValueError`` without one."""
    table = graph.array(TABLE)  # (D + 1, V'), biases last
    neighbours, shares = graph.array(NEIGHBOURS), graph.array(SHARES)
    if not (table.ndim == 2 and table.shape[1] >= items and len(neighbours) == items + FIRST_ITEM):
        raise ValueError(f"the table is {table.shape} and has {len(neighbours)} rows of neighbours")
    # Copied, as an array in a file may begin at any byte.
    vectors, biases = table[:-1, :items].T.copy(), table[-1, :items].copy()
    return vectors, biases, Neighbours.of(neighbours, shares)
