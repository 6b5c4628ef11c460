"""The answers: what the scorer says to a state, asked once and remembered."""

from collections.abc import Iterable

from model.scorer import ModelInfo, Score, Scorer
from model.sequence import Sequence

BATCH = 256


class Answers:
    """A scorer with a memory, so that five runs over one log score it once."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer
        self._known: dict[Sequence, Score] = {}

    @property
    def info(self) -> ModelInfo:
        """Who answers."""
        return self._scorer.info

    def learn(self, sequences: Iterable[Sequence]) -> None:
        """Ask for all that is not known yet, in large batches."""
        new = [s for s in dict.fromkeys(sequences) if s not in self._known]
        for start in range(0, len(new), BATCH):
            batch = new[start : start + BATCH]
            self._known.update(zip(batch, self._scorer.score(batch), strict=True))

    def of(self, sequence: Sequence) -> Score:
        """The answer to one sequence."""
        if sequence not in self._known:
            self.learn([sequence])
        return self._known[sequence]
