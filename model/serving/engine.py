"""The engine base class: encodes sequences, runs them in chunks, returns scores in input order."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Batch
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from model import native, visits
from model.artifact.artifact import CALIBRATION, CONTEXTS, COPYING, MAX_TABLE_BYTES, Artifact
from model.artifact.calibration import Calibration
from model.artifact.copying import CopyCurve
from model.artifact.day_parts import PARTS, DayPartCounts, part_of_day, parts_of_hours
from model.catalogue import Catalogue
from model.errors import ArtifactError, ScorerError
from model.features import UNKNOWN_ITEM, Padded, Ragged, flatten, pad
from model.outputs import Outputs, Reals
from model.scorer import EncodedScore, ModelInfo, Score, Vocabulary
from model.sequence import Sequence
from model.serving.answering.answers import Answers
from model.serving.answering.encoded import CodedSequences, Encoded
from model.serving.answering.newcomers import Mixture, Mixtures, Newcomers
from model.serving.options import NO_OPTIONS, ScoringOptions
from model.serving.refining import PROBABILITIES, Refiner

Ints = npt.NDArray[np.int64]

PATH_NETWORK = "path"  # the network that describes the visit
CHUNK_ROWS = 64  # more rows overflow the CPU cache, fewer make the multiply inefficient
_SAMPLE_MEAN_LENGTH = 8
_SAMPLE_PAUSE_S = 600


class ArtifactScorer(ABC):
    """A ``Scorer`` for one artifact; not thread-safe."""

    def __init__(
        self,
        artifact: Artifact,
        device: str,
        chunk_rows: int = CHUNK_ROWS,
        options: ScoringOptions = NO_OPTIONS,
    ) -> None:
        """Read catalogue, calibration and counts; raises ``ArtifactError`` if they do not fit.

        Raises ``OptionsError`` if the options do not fit the catalogue.
        """
        self.catalogue = artifact.read_catalogue()
        self._config = artifact.config
        self._vocabulary = Vocabulary(
            frozenset(artifact.config.actions),
            self.catalogue.index,
            self.catalogue.category_of,
            dict(zip(artifact.config.intents, artifact.config.counted_actions, strict=True)),
            artifact.config.max_length,
        )
        info = artifact.info(device)
        self._info = info._replace(version=options.version(info.version))
        self._chunk_rows = chunk_rows
        calibration = _read_calibration(artifact)
        self._answers = Answers(self.catalogue, calibration, artifact.config)
        self._encoded = Encoded(self.catalogue, calibration, artifact.config, self._info.horizon_s)
        self._refiner = Refiner(options, self.catalogue, artifact.config.top_items)
        self._counts = _read_counts(artifact, self.catalogue)
        curve = _read_curve(artifact)
        self._newcomers = (
            None if curve is None else Newcomers(curve, self.catalogue, artifact.config)
        )
        self._cold = [
            self._refiner.refine_cold(
                self._answers.cold_for(self.catalogue, counts), self.catalogue.shares(counts)
            )
            for counts in self._counts
        ]
        self._has_path = artifact.config.network == PATH_NETWORK
        self._needs = (*self._refiner.needs, *(visits.OUTPUTS if self._has_path else ()))

    @property
    def info(self) -> ModelInfo:
        """The model, its version and its device."""
        return self._info

    @property
    def vocabulary(self) -> Vocabulary:
        """What the manifest and the catalogue say."""
        return self._vocabulary

    @property
    def window(self) -> int:
        """The number of newest actions that the network reads."""
        return self._config.max_length

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """Score each sequence; see ``Scorer.score``. Raises ``ScorerError``."""
        ragged = flatten(sequences, self.catalogue, self._config)
        scores = [self._cold[part_of_day(sequence.now_ms)] for sequence in sequences]
        for rows in self._chunks(ragged):
            answers = self._answer(pad(ragged, rows), rows, sequences)
            for row, answer in zip(rows.tolist(), answers, strict=True):
                scores[row] = answer
        return scores

    def answer(self, sequences: Batch[Sequence]) -> list[Score | EncodedScore]:
        """The scores, encoded where the native core can do that; raises ``ScorerError``."""
        if not native.AVAILABLE or self._needs:
            return [*self.score(sequences)]
        if isinstance(sequences, CodedSequences):
            ragged = self._encoded.codes(sequences)
        else:
            ragged = flatten(sequences, self.catalogue, self._config)
        parts = parts_of_hours(ragged.hours).tolist()
        answers: list[Score | EncodedScore] = [self._cold[part] for part in parts]
        for rows in self._chunks(ragged):
            answered = self._answer_encoded(pad(ragged, rows), rows, sequences)
            for row, answer in zip(rows.tolist(), answered, strict=True):
                answers[row] = answer
        return answers

    def _answer_encoded(
        self, padded: Padded, rows: Ints, sequences: Batch[Sequence]
    ) -> list[Score | EncodedScore]:
        outputs, strange = self._run(padded), self._strange(padded)
        encoded = self._encoded.full(outputs)
        if encoded is None:  # what is wrong with them, the reference says
            scored = [sequences[row] for row in rows.tolist()]
            return [*self._mixed(outputs, scored, strange)[0]]
        answered: list[Score | EncodedScore] = [*encoded]
        if strange:
            scored = [sequences[row] for row in rows[strange].tolist()]
            own = outputs.take(strange)
            mixed, _ = self._mixed(own, scored, list(range(len(strange))))
            for row, score in zip(strange, mixed, strict=True):
                answered[row] = score
        return answered

    def probabilities(self, sequences: Batch[Sequence]) -> Reals:
        """The probability of each item of the catalogue, (B, V), unchanged by options.

        Popularity where ``score`` would return the cold answer. Raises ``ScorerError``.
        """
        ragged = flatten(sequences, self.catalogue, self._config)
        shares = np.stack([self.catalogue.shares(counts) for counts in self._counts])
        parts = [part_of_day(sequence.now_ms) for sequence in sequences]
        result = shares.astype(np.float32)[parts]
        for rows in self._chunks(ragged):
            padded = pad(ragged, rows)
            outputs, found = self._run_further(padded, (PROBABILITIES,))
            result[rows] = found[PROBABILITIES]
            scored = [sequences[row] for row in rows.tolist()]
            strange = self._strange(padded)
            mixtures = self._mix(strange, outputs, scored)
            for row, mixture in _by_row(strange, mixtures).items():
                result[rows[row]] = mixture.whole(result[rows[row]])[: len(self.catalogue)]
        return result

    def sample(self, count: int) -> list[Sequence]:
        """Synthetic sequences for warm-up and measurement: eight actions on average, always equal.

        Their lengths are geometric, capped at ``max_length``.
        """
        draw = random.Random(count)
        return [self._sample_sequence(draw) for _ in range(count)]

    @abstractmethod
    def _run(self, padded: Padded) -> Outputs:
        """Run the network; raises ``ScorerError``."""

    def _run_further(
        self, padded: Padded, names: tuple[str, ...]
    ) -> tuple[Outputs, Mapping[str, Reals]]:
        """Run the network and return these extra outputs, too; raises ``ScorerError``."""
        raise ScorerError(
            f"this engine has no {' and '.join(names)} for {len(padded.lengths)} sequences; "
            "leave the option out, or use the onnx engine"
        )

    def _answer(self, padded: Padded, rows: Ints, sequences: Batch[Sequence]) -> list[Score]:
        outputs, found = (
            self._run_further(padded, self._needs) if self._needs else (self._run(padded), {})
        )
        scored = [sequences[row] for row in rows.tolist()]
        strange = self._strange(padded)
        scores, mixtures = self._mixed(outputs, scored, strange)
        if self._needs:
            scores = self._refiner.refine(scores, found, scored, _by_row(strange, mixtures))
        if not self._has_path:
            return scores
        paths = visits.published(found, self._config.actions)
        return [score._replace(path=path) for score, path in zip(scores, paths, strict=True)]

    def _mixed(
        self, outputs: Outputs, scored: list[Sequence], strange: list[int]
    ) -> tuple[list[Score], Mixtures | None]:
        """The scores of these outputs, with newcomers in the strange rows."""
        scores = self._answers.full(outputs)
        mixtures = self._mix(strange, outputs, scored)
        if mixtures is not None:
            mixed = self._answers.with_newcomers(
                [scores[row] for row in strange], mixtures, outputs.category_probs[strange]
            )
            for row, score in zip(strange, mixed, strict=True):
                scores[row] = score
        return scores, mixtures

    def _strange(self, padded: Padded) -> list[int]:
        """The rows with an item that the catalogue lacks; none without a copy curve."""
        if self._newcomers is None:
            return []
        return np.flatnonzero((padded.items == UNKNOWN_ITEM).any(axis=1)).tolist()

    def _mix(
        self, rows: list[int], outputs: Outputs, sequences: Batch[Sequence]
    ) -> Mixtures | None:
        """What newcomers change in these rows of the outputs; None without rows."""
        if self._newcomers is None or not rows:
            return None
        own = [sequences[row] for row in rows]
        return self._newcomers.mix(own, outputs.top_items[rows], outputs.top_probs[rows])

    def _chunks(self, ragged: Ragged) -> Iterator[Ints]:
        """Chunks of the rows that the network can answer, sorted by length to pad little."""
        rows = np.flatnonzero(ragged.known() if self._newcomers is None else ragged.lengths > 0)
        rows = rows[np.argsort(ragged.lengths[rows], kind="stable")]
        for part in self._cut(ragged.lengths[rows].astype(np.int64)):
            yield rows[part]

    def _cut(self, lengths: Ints) -> Iterator[slice]:
        """The chunks of sequences (B,) with these ascending lengths."""
        for start in range(0, len(lengths), self._chunk_rows):
            yield slice(start, start + self._chunk_rows)

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
            f"{CALIBRATION} has {list(calibration.intents)}, manifest expects "
            f"{list(artifact.config.intents)}; export the artifact again"
        )
    return calibration


def _read_counts(artifact: Artifact, catalogue: Catalogue) -> Ints:
    """The item counts of each part of the day, (PARTS, V)."""
    if CONTEXTS not in artifact.manifest.files:  # an artifact from before they were added
        return np.broadcast_to(catalogue.counts, (PARTS, len(catalogue)))
    try:
        fields = artifact.read_object(CONTEXTS, MAX_TABLE_BYTES)
        return DayPartCounts.from_json(fields, len(catalogue)).counts
    except ValueError as error:
        raise artifact.error(f"{CONTEXTS} {error}; export the artifact again") from None


def _by_row(rows: list[int], mixtures: Mixtures | None) -> dict[int, Mixture]:
    """The mixture of each of these rows."""
    return {} if mixtures is None else {row: mixtures.of(at) for at, row in enumerate(rows)}


def _read_curve(artifact: Artifact) -> CopyCurve | None:
    """The copy curve; None for an artifact from before there was one, or a private one."""
    if COPYING not in artifact.manifest.files:
        return None
    try:
        return CopyCurve.from_json(artifact.read_object(COPYING), len(artifact.config.actions))
    except ValueError as error:
        raise artifact.error(f"{COPYING} {error}; export the artifact again") from None
