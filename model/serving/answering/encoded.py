"""Encoded answers: the native core encodes sequences, and writes scores from the arrays."""

from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from model import native
from model.artifact.calibration import Calibration
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.features import Codes, Ragged
from model.outputs import Outputs
from model.scorer import EncodedScore


@runtime_checkable
class CodedSequences(Protocol):
    """Sequences that the native core holds."""

    def encode(self, vocabulary: Any) -> list[Codes]:
        """The columns of ``Ragged``, by a vocabulary of the core."""
        ...


class Encoded:
    """What the native core needs to know of one artifact; made when it is asked for."""

    def __init__(
        self, catalogue: Catalogue, calibration: Calibration, config: ArtifactConfig, horizon_s: int
    ) -> None:
        self._catalogue = catalogue
        self._calibration = calibration
        self._config = config
        self._horizon_s = horizon_s

    def codes(self, sequences: CodedSequences) -> Ragged:
        """The codes that ``flatten`` gives."""
        return Ragged(*sequences.encode(self._vocabulary))

    def full(self, outputs: Outputs) -> list[EncodedScore] | None:
        """The scores that ``Answers.full`` gives; None for outputs that it must judge."""
        if not np.isfinite(outputs.intent_logits).all():
            return None
        chances = self._calibration.apply(outputs.intent_logits)
        try:
            encoded = self._writer.write(
                np.ascontiguousarray(outputs.top_items, dtype=np.int64),
                np.ascontiguousarray(outputs.top_probs, dtype=np.float32),
                np.ascontiguousarray(outputs.category_probs, dtype=np.float32),
                np.ascontiguousarray(chances, dtype=np.float64),
            )
        except ValueError:
            return None
        return [EncodedScore(encoded[row], "full") for row in range(len(encoded))]

    @cached_property
    def _vocabulary(self) -> Any:
        config = self._config
        return native.core.Vocabulary(
            list(self._catalogue.items),
            list(config.actions),
            list(config.gap_bounds_ms),
            config.max_length,
        )

    @cached_property
    def _writer(self) -> Any:
        config = self._config
        return native.core.PredictionWriter(
            list(self._catalogue.items),
            list(self._catalogue.categories),
            list(config.intents),
            self._horizon_s,
            config.top_categories,
        )
