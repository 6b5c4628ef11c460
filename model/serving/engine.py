"""What every engine shares: encode, run chunk by chunk, answer in the order asked."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from collections.abc import Sequence as Batch
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from model.artifact import CALIBRATION, Artifact
from model.calibration import Calibration
from model.errors import ArtifactError
from model.features import Padded, Ragged, flatten, pad
from model.scorer import ModelInfo, Score
from model.sequence import Sequence
from model.serving.answers import Answers, Outputs

CHUNK_ROWS = 64  # more leave the processor's cache, fewer waste the multiply
_SAMPLE_MEAN_LENGTH = 8
_SAMPLE_PAUSE_S = 600


class ArtifactScorer(ABC):
    """A ``Scorer`` for one artifact; one thread at a time may call it."""

    def __init__(self, artifact: Artifact, device: str, chunk_rows: int = CHUNK_ROWS) -> None:
        """Read what every engine needs; raises ``ArtifactError`` if it does not fit."""
        self.catalogue = artifact.read_catalogue()
        self._config = artifact.config
        self._info = artifact.info(device)
        self._chunk_rows = chunk_rows
        calibration = _read_calibration(artifact)
        self._answers = Answers(self.catalogue, calibration, artifact.config)

    @property
    def info(self) -> ModelInfo:
        """Who answers."""
        return self._info

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """Score each sequence; see ``Scorer.score``. Raises ``ScorerError``."""
        ragged = flatten(sequences, self.catalogue, self._config)
        scores = [self._answers.cold] * len(sequences)
        for rows in _chunks(ragged, self._chunk_rows):
            answers = self._answers.full(self._run(pad(ragged, rows)))
            for row, answer in zip(rows.tolist(), answers, strict=True):
                scores[row] = answer
        return scores

    def sample(self, count: int) -> list[Sequence]:
        """Made-up sequences to warm up and measure with: eight actions on average, always equal.

        Their lengths are geometric, cut at ``max_length``.
        """
        draw = random.Random(count)
        return [self._sample_sequence(draw) for _ in range(count)]

    @abstractmethod
    def _run(self, padded: Padded) -> Outputs:
        """Run the network; raises ``ScorerError``."""

    def _sample_sequence(self, draw: random.Random) -> Sequence:
        length = 1 + int(draw.expovariate(1 / (_SAMPLE_MEAN_LENGTH - 0.5)))
        length = min(length, self._config.max_length)
        items = draw.choices(self.catalogue.items, k=length)
        actions = draw.choices(self._config.actions, k=length)
        pauses_ms = (draw.randrange(_SAMPLE_PAUSE_S * 1000) for _ in range(length))
        times_ms = tuple(accumulate(pauses_ms))
        return Sequence(tuple(items), tuple(actions), times_ms, times_ms[-1])


def _read_calibration(artifact: Artifact) -> Calibration:
    fields = artifact.read_object(CALIBRATION)
    try:
        calibration = Calibration.from_json(fields)
    except ArtifactError as error:
        raise artifact.error(str(error)) from None
    if calibration.intents != artifact.config.intents:
        raise artifact.error(
            f"{CALIBRATION} is of {list(calibration.intents)}, manifest expects "
            f"{list(artifact.config.intents)}; export the artifact again"
        )
    return calibration


def _chunks(ragged: Ragged, size: int) -> Iterator[npt.NDArray[np.int64]]:
    """Rows that hold a known item, neighbours by length, so that little is padding."""
    rows = np.flatnonzero(ragged.known())
    rows = rows[np.argsort(ragged.lengths[rows], kind="stable")]
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
