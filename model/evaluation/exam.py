"""The exam: puts the same questions to scorers and baselines and collects their answers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.baselines.baseline import NOTHING, Baseline, Prefixes
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.data.dataset import Histories, Period, spans
from model.evaluation.questions import Questions, ask
from model.scorer import Scorer
from model.sequence import Sequence

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Tell = Callable[[int], None]

ASKED_AT_ONCE = 1_024
CUTOFF = 20
UNKNOWN_NAME = "\0"  # the name given to every item outside the catalogue; no item has it


class Answers(NamedTuple):
    """The answers of a scorer or a baseline, row by row of the questions."""

    items: npt.NDArray[np.int32]  # (Q, 20) catalogue indices, best first, then NOTHING
    chances: Floats | None  # (Q, A) probabilities of the intents; None if not predicted

    def ranks(self, targets: Ints) -> Ints:
        """The rank of each target, (Q,), from 1; 0 if it is not in the answer."""
        hits = (self.items == targets[:, None]) & (targets[:, None] >= 0)
        return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)


@dataclass(frozen=True, slots=True)
class Exam:
    """The questions of a period, with the histories and catalogue needed to ask them."""

    histories: Histories
    catalogue: Catalogue
    config: ArtifactConfig
    period: Period
    questions: Questions

    @classmethod
    def of(
        cls, histories: Histories, catalogue: Catalogue, config: ArtifactConfig, period: Period
    ) -> "Exam":
        """Ask before each event of the period; earlier events only serve as history."""
        return cls(histories, catalogue, config, period, ask(histories, config, period))

    def __len__(self) -> int:
        return len(self.questions.end)

    def ask_scorer(self, scorer: Scorer, tell: Tell = lambda _: None) -> Answers:
        """Ask the scorer that serves, so that the evaluation covers what is served.

        ``tell`` is called with the number of questions answered since its last call.
        """
        answers = Answers(self._blank(), np.zeros(self.questions.intents.shape))
        assert answers.chances is not None
        names = np.array([*self.catalogue.items, UNKNOWN_NAME], dtype=object)  # UNKNOWN is the last
        for rows in self._parts():
            scores = scorer.score(list(self._sequences(rows, names)))
            for row, score in enumerate(scores, start=rows.start):
                best = self.catalogue.codes([item for item, _ in score.items[:CUTOFF]])
                answers.items[row, : len(best)] = best
                answers.chances[row] = [score.intent[name] for name in self.config.intents]
            tell(len(scores))
        return answers

    def ask_baseline(
        self, baseline: Baseline, rates: Floats | None = None, tell: Tell = lambda _: None
    ) -> Answers:
        """Ask a baseline; ``rates`` (A,) are its probabilities of the intents, if any."""
        items = self._blank()
        for rows in self._parts():
            items[rows] = baseline.top(self._prefixes(rows), CUTOFF).items
            tell(len(items[rows]))
        chances = None if rates is None else np.tile(rates, (len(self), 1))
        return Answers(items, chances)

    def _blank(self) -> npt.NDArray[np.int32]:
        return np.full((len(self), CUTOFF), NOTHING, dtype=np.int32)

    def _parts(self) -> Iterator[slice]:
        for start in range(0, len(self), ASKED_AT_ONCE):
            yield slice(start, min(start + ASKED_AT_ONCE, len(self)))

    def _prefixes(self, rows: slice) -> Prefixes:
        begin, end = self.questions.begin[rows], self.questions.end[rows]
        _, positions = spans(begin, end - begin)
        return Prefixes(self.histories.items[positions], np.cumsum([0, *(end - begin)]))

    def _sequences(self, rows: slice, names: npt.NDArray[np.object_]) -> Iterator[Sequence]:
        action_names = np.array(self.config.actions, dtype=object)
        items, actions, times = self.histories[:3]
        begins, ends = self.questions.begin[rows].tolist(), self.questions.end[rows].tolist()
        for begin, end in zip(begins, ends, strict=True):
            times_ms = tuple(times[begin:end].tolist())
            yield Sequence(
                tuple(names[items[begin:end]].tolist()),
                tuple(action_names[actions[begin:end]].tolist()),
                times_ms,
                times_ms[-1] if times_ms else 0,
            )
