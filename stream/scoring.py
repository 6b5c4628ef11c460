"""Scoring: one micro-batch through the scorer, off the event loop, and a poison user found."""

import asyncio
from collections.abc import Sequence as Batch
from concurrent.futures import ThreadPoolExecutor

from model.scorer import ModelInfo, Score, Scorer
from model.sequence import Sequence
from stream.errors import ScoringError

MAX_FAILURES = 16


class Device:
    """Where the scorer runs: one thread, so that one batch is on it at a time, in order."""

    def __init__(self, scorer: Scorer, timeout_s: float) -> None:
        self._scorer = scorer
        self._timeout_s = timeout_s
        self._failures = 0  # users in a row whom the scorer could not score
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="scorer")

    @property
    def info(self) -> ModelInfo:
        """Who answers."""
        return self._scorer.info

    async def score(self, sequences: Batch[Sequence]) -> list[Score | Exception]:
        """Score each sequence; one that cannot be scored gets the error in place of a score.

        Raises ScoringError when the scorer hangs for longer than the time-out, and when it fails
        for so many users in a row that the fault must be its own.
        """
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(self._thread, score_or_isolate, self._scorer, sequences)
        try:
            scores = await asyncio.wait_for(work, self._timeout_s)
        except TimeoutError:
            raise ScoringError(
                f"the scorer did not answer within {self._timeout_s:g} s for {len(sequences)} "
                "users; look at the device, or raise --scoring-timeout-s"
            ) from None
        self._watch(scores)
        return scores

    def _watch(self, scores: list[Score | Exception]) -> None:
        errors = [score for score in scores if isinstance(score, Exception)]
        self._failures = self._failures + len(errors) if len(errors) == len(scores) else 0
        if self._failures >= MAX_FAILURES:
            raise ScoringError(
                f"the scorer failed for {self._failures} users in a row ({errors[-1]}); look at "
                "the device and the artifact"
            )

    def close(self) -> None:
        """Let go of the thread without waiting for it."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def score_or_isolate(scorer: Scorer, sequences: Batch[Sequence]) -> list[Score | Exception]:
    """Score the batch; if it fails, halve it until whoever makes it fail is alone.

    One poison user among n costs about 2·log2(n) more calls; the others get their scores.
    """
    if not sequences:
        return []
    try:
        scores = scorer.score(sequences)
        if len(scores) != len(sequences):
            raise ScoringError(
                f"the scorer gave {len(scores)} scores for {len(sequences)} sequences; it must "
                "give one for each, in order"
            )
        return list(scores)
    except Exception as error:  # noqa: BLE001 - whatever it is, the batch mates must not pay
        if len(sequences) == 1:
            return [error]
        middle = len(sequences) // 2
        return score_or_isolate(scorer, sequences[:middle]) + score_or_isolate(
            scorer, sequences[middle:]
        )
