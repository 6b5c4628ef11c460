"""Asks the serving scorer and each baseline the questions of a task, and rates the answers."""

from collections.abc import Callable, Mapping
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from benchmarks.quality.folder import PAUSE_MS, Question, Task
from model.baselines import BASELINES, Prefixes
from model.evaluation.metrics import mrr_at, ndcg_at, recall_at
from model.scorer import Scorer
from model.sequence import Sequence

ASKED_AT_ONCE = 1_024
CUTOFF = 20
Ranks = npt.NDArray[np.int64]
Figures = dict[str, float]


def figures(task: Task, ranks: Ranks) -> Figures:
    """The metrics of the protocol: fractions, or per cent for sessions."""
    if task.exclude_seen:
        return {"R@10": recall_at(ranks, 10), "N@10": ndcg_at(ranks, 10)}
    return {"P@20": 100 * recall_at(ranks, 20), "MRR@20": 100 * mrr_at(ranks, 20)}


def ask_scorer(scorer: Scorer, task: Task, longest: int, tell: Callable[[int], None]) -> Ranks:
    """The rank of each target in the scorer's list, 0 if it is not in it."""
    ranks: list[int] = []
    for start in range(0, len(task.questions), ASKED_AT_ONCE):
        asked = task.questions[start : start + ASKED_AT_ONCE]
        scores = scorer.score([_sequence(question, longest) for question in asked])
        for question, score in zip(asked, scores, strict=True):
            names = [name for name, _ in score.items[:CUTOFF]]
            ranks.append(names.index(question.target) + 1 if question.target in names else 0)
        tell(len(ranks))
    return np.array(ranks)


def ask_baselines(task: Task) -> Mapping[str, Figures]:
    """The figures of every baseline, fitted on all training sequences."""
    catalogue = task.data.catalogue
    codes = catalogue.codes(list(chain.from_iterable(q.items for q in task.questions)))
    offsets = np.array([0, *accumulate(len(question.items) for question in task.questions)])
    prefixes = Prefixes(codes, offsets)
    targets = catalogue.codes([question.target for question in task.questions])
    found = {}
    for name, fit in BASELINES.items():
        best = fit(task.data.whole, len(catalogue)).top(prefixes, CUTOFF, task.exclude_seen)
        found[name] = figures(task, _ranks(best.items, targets))
    return found


def _ranks(best: npt.NDArray[np.int32], targets: Ranks) -> Ranks:
    hits = (best == targets[:, None]) & (targets >= 0)[:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, 0)


def _sequence(question: Question, longest: int) -> Sequence:
    items = tuple(question.items[-longest:])
    times_ms = tuple(step * PAUSE_MS for step in range(len(items)))
    return Sequence(items, ("click",) * len(items), times_ms, times_ms[-1])
