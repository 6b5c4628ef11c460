"""Scoring: runs one micro-batch off the event loop, and isolates users that make it fail."""

import asyncio
from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Batch
from concurrent.futures import ThreadPoolExecutor
from math import isfinite
from typing import Any, NamedTuple

from model.scorer import Answer, AnsweringScorer, ModelInfo, Score, Scorer
from model.sequence import Sequence
from stream.errors import ScoringError
from stream.pipeline.shedding import Level, degrade, scorer_input
from stream.pipeline.users.snapshot_sequences import SnapshotSequences

MAX_FAILURES = 16


class Scored(NamedTuple):
    """The predictions of one model for a batch, with an error for each user it could not score.

    ``unknown_items`` counts the users whose newest action is on an item that the model does not
    know.
    """

    model: ModelInfo
    level: Level
    scores: list[Answer | Exception]
    unknown_items: int = 0


class Device:
    """Runs the scorer on a thread of its own, one batch at a time, in order."""

    def __init__(self, scorer: Scorer, timeout_s: float) -> None:
        self._scorer = scorer
        self._timeout_s = timeout_s
        self._failures = 0  # users in a row that could not be scored
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")

    @property
    def info(self) -> ModelInfo:
        """The model that scores the next batch."""
        return self._scorer.info

    def swap(self, scorer: Scorer) -> None:
        """Use this scorer from the next batch on; a running batch keeps the one it has."""
        self._scorer = scorer
        self._failures = 0

    async def score(self, sequences: Batch[Sequence], level: Level = "full") -> Scored:
        """Score each sequence with the same model, degraded as the level says.

        Raises ScoringError when the scorer exceeds the timeout, and when it fails for so many users
        in a row that the fault must be its own.
        """
        scorer = self._scorer
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, _predict, scorer, sequences, level)
        try:
            scores = await asyncio.wait_for(work, self._timeout_s)
        except TimeoutError:
            raise ScoringError(
                f"the scorer did not answer within {self._timeout_s:g} s for {len(sequences)} "
                "users; look at the device, or raise --scoring-timeout-s"
            ) from None
        self._watch(scores)
        return Scored(scorer.info, level, scores, count_unknown_items(scorer, sequences))

    def _watch(self, scores: list[Answer | Exception]) -> None:
        errors = [score for score in scores if isinstance(score, Exception)]
        self._failures = self._failures + len(errors) if len(errors) == len(scores) else 0
        if self._failures >= MAX_FAILURES:
            raise ScoringError(
                f"the scorer failed for {self._failures} users in a row ({errors[-1]}); look at "
                "the device and the artifact"
            )

    def close(self) -> None:
        """Abandon the thread without waiting for it."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def count_unknown_items(scorer: Scorer, sequences: Batch[Sequence]) -> int:
    """How many sequences end with an item that the scorer does not know."""
    known = scorer.vocabulary.items
    if known is None:
        return 0
    if isinstance(sequences, SnapshotSequences):
        newest = sequences.newest_items()
    else:
        newest = [sequence.items[-1] if sequence.items else None for sequence in sequences]
    return sum(1 for item in newest if item is not None and item not in known)


def _predict(scorer: Scorer, sequences: Batch[Sequence], level: Level) -> list[Answer | Exception]:
    if level == "full" and isinstance(scorer, AnsweringScorer):
        try:
            answers = _sound(scorer.answer(sequences), len(sequences))
        except Exception:  # noqa: BLE001 - `score_or_isolate` finds the user, or raises
            answers = []
        if len(answers) == len(sequences) and not any(isinstance(a, Exception) for a in answers):
            return answers
    return degrade(score_or_isolate(scorer, scorer_input(sequences, level)), level)


def score_or_isolate(scorer: Scorer, sequences: Batch[Sequence]) -> list[Answer | Exception]:
    """Score the batch; if it fails, halve it until the user that makes it fail is alone.

    One poison user among n costs about 2·log2(n) more calls; the others get their scores. A user
    with an invalid score, such as one that is not a number, is scored once more, alone. Raises
    ScoringError when memory or the device does not suffice for a single user, which is not that
    user's fault.
    """
    if not sequences:
        return []
    try:
        scores = _sound(scorer.score(sequences), len(sequences))
    except Exception as error:  # whatever it is, the batch mates must not pay
        if len(sequences) == 1:
            if isinstance(error, MemoryError):
                raise ScoringError(
                    f"the scorer has no memory left for a single user ({error}); give the worker "
                    "more, or lower --cache-users"
                ) from error
            return [error]
        middle = len(sequences) // 2
        return score_or_isolate(scorer, sequences[:middle]) + score_or_isolate(
            scorer, sequences[middle:]
        )
    if len(sequences) > 1:
        for place, score in enumerate(scores):
            if isinstance(score, Exception):
                scores[place : place + 1] = score_or_isolate(scorer, [sequences[place]])
    return scores


def try_out(scorer: Scorer, sequences: Batch[Sequence]) -> None:
    """Score these and an empty sequence; raises ScoringError unless every score is valid."""
    sequences = [*sequences, Sequence((), (), (), 0)]
    for answer in _sound(scorer.score(sequences), len(sequences)):
        if isinstance(answer, Exception):
            raise answer


def _sound(scores: Batch[Answer], wanted: int) -> list[Answer | Exception]:
    """The scores, with an error in place of each invalid one.

    Raises ScoringError for a wrong number of scores: they cannot be matched to users.
    """
    if len(scores) != wanted:
        raise ScoringError(
            f"the scorer gave {len(scores)} scores for {wanted} sequences; it must "
            "give one for each, in order"
        )
    checked: list[Answer | Exception] = []
    last: Answer | None = None
    for score in scores:
        if score is not last:  # cold users share one answer
            # The encoder has checked what is encoded.
            last, result = score, (type(score) is Score and _error(score)) or score
        checked.append(result)
    return checked


def _error(score: Score) -> ScoringError | None:
    # Plain loops, because this runs for every score. NaN is not within bounds either.
    for name, pairs in (("items", score.items), ("categories", score.categories)):
        for _, p in pairs:
            if not 0.0 <= p <= 1.0:
                return _no_probability(name, p)
    for p in score.intent.values():
        if not 0.0 <= p <= 1.0:
            return _no_probability("intent", p)
    if score.path is not None:
        for p in _numbers(score.path):
            if not 0.0 <= p <= 1.0:
                return _no_probability("visit", p)
    if score.vector is not None and not all(map(isfinite, score.vector)):
        return ScoringError("the user's vector is not finite; train and export the model again")
    return None


def _no_probability(name: str, found: float) -> ScoringError:
    return ScoringError(
        f"{name} holds {found}, expected probabilities from 0 to 1; train and export the model "
        "again"
    )


def _numbers(path: Mapping[str, Any]) -> Iterator[float]:
    for value in path.values():
        if isinstance(value, Mapping):
            yield from _numbers(value)
        else:
            yield value
