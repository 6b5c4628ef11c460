"""The answers: what the scorer says to a state, asked once and remembered."""

from collections.abc import Iterable
from typing import Literal

from model.scorer import ModelInfo, Score, Scorer
from model.sequence import Sequence

BATCH = 256
SHORT_ITEMS = 5

Level = Literal["short", "cold"]
LEVELS: tuple[Level, ...] = ("short", "cold")


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

    def degraded(self, sequence: Sequence, level: Level) -> Score:
        """What is said to it under overload: its best items, or the answer of somebody new."""
        if level == "cold":
            return self.of(Sequence((), (), (), sequence.now_ms))._replace(quality="degraded")
        score = self.of(sequence)
        return score._replace(items=score.items[:SHORT_ITEMS], quality="degraded")


def by_version(answers: Answers | Iterable[Answers]) -> dict[str, Answers]:
    """The answers of one model, or of each that served in a run, by the version that scores name.

    The first stands for a version that is none of them.
    """
    each = [answers] if isinstance(answers, Answers) else answers
    return {one.info.version: one for one in each}
