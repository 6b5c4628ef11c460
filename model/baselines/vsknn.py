"""VS-kNN: ranks the items of the most similar sessions.

Ludewig & Jannach, "Evaluation of session-based recommendation algorithms" (UMUAI 2018):

    similarity(n) = Σ_{x in both} (L − s_x) / L       s_x steps back from the newest of L actions
    score(y)      = Σ_{n: y in n} similarity(n) · (1 − (s_n + 1) / 10) · (1 + idf(y))

over the 100 most similar of the 1,000 newest sessions n that share an item; ``s_n`` is the ``s_x``
of the newest shared item, and ``idf(y) = log(sessions / sessions with y)``. A session that shares
only items from ten or more steps ago is ignored.
"""

from typing import TYPE_CHECKING

import numpy as np

from model.baselines.baseline import Floats, Ints, Prefixes, Ranked, distinct, first, is_seen
from model.catalogue import UNKNOWN
from model.data.dataset import spans

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from model.data.dataset import Histories

NEIGHBOURS = 100
SAMPLE = 1_000
MAX_STEPS_BACK = 10  # of the newest shared item
LONGEST = 50  # actions of the question that are used; the mantissa of a double has enough bits
PAUSE_MS = 30 * 60_000  # a longer pause ends a session
ASKED_AT_ONCE = 512
NEWER = 1e-9  # prefers the newer of equally similar sessions; far below the step of 1 / LONGEST


def fit(histories: "Histories", items: int) -> "VsKnn":
    """Split the histories into sessions and index them."""
    from scipy.sparse import csr_array

    known = histories.items != UNKNOWN
    sessions, count = _sessions(histories)
    ones = np.ones(int(known.sum()))
    held = csr_array((ones, (sessions[known], histories.items[known])), shape=(count, items))
    held.sum_duplicates()
    held.data[:] = 1
    return VsKnn(held)


def _sessions(histories: "Histories") -> tuple[Ints, int]:
    """The session of each event, numbered from the one that ended last, and the session count."""
    times_ms = histories.times_ms
    begins = np.zeros(len(times_ms), dtype=np.bool_)
    begins[histories.offsets[:-1]] = True
    begins[1:] |= np.diff(times_ms) > PAUSE_MS
    sessions = np.cumsum(begins) - 1
    ends_ms = times_ms[np.roll(begins, -1)]  # an event ends a session if the next one begins one
    number = np.empty(len(ends_ms), dtype=np.int64)
    number[np.argsort(-ends_ms, kind="stable")] = np.arange(len(ends_ms))
    return number[sessions], len(ends_ms)


class VsKnn:
    """Ranks by the formula above; ``held`` (sessions, items) is 1 if a session has an item."""

    def __init__(self, held: "csr_array") -> None:
        found_in = np.maximum(held.sum(axis=0), 1)
        # A session among the newest that share any item is also among the newest with that item.
        self._newest = _head(held.T.tocsr(), SAMPLE)  # (items, sessions)
        self._weighted = held.multiply(1 + np.log(max(held.shape[0], 1) / found_in)).tocsr()

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """See ``Baseline.top``."""
        parts = [
            self._top(_part(questions, begin, begin + ASKED_AT_ONCE), k, exclude_seen)
            for begin in range(0, len(questions.lengths), ASKED_AT_ONCE)
        ]
        if not parts:
            return Ranked(np.empty((0, k), dtype=np.int32), np.empty((0, k)))
        return Ranked(*map(np.concatenate, zip(*parts, strict=True)))

    def _top(self, questions: Prefixes, k: int, exclude_seen: bool) -> Ranked:
        scores = (self._neighbours(questions) @ self._weighted).tocoo()
        rows, items, weights = scores.row.astype(np.int64), scores.col, scores.data
        if exclude_seen:
            new = ~is_seen(questions, rows, items)
            rows, items, weights = rows[new], items[new], weights[new]
        order = np.lexsort((items, -weights, rows))
        size = len(questions.lengths)
        return first(rows[order], items[order], weights[order], size, k)

    def _neighbours(self, questions: Prefixes) -> "csr_array":
        """The weight of each session for each question, (Q, sessions)."""
        from scipy.sparse import csr_array

        similar = _head(self._look_back(questions) @ self._newest, SAMPLE)
        rows, positions = spans(similar.indptr[:-1].astype(np.int64), np.diff(similar.indptr))
        within = positions - similar.indptr[rows]
        keys = np.full((len(questions.lengths), SAMPLE), -np.inf)
        keys[rows, within] = similar.data.real - NEWER * within
        best = np.argpartition(-keys, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
        rows, columns = np.nonzero(np.isfinite(np.take_along_axis(keys, best, 1)))
        chosen = similar.indptr[rows] + best[rows, columns]
        recent = 1 - (_steps_back(similar.data[chosen].imag) + 1) / MAX_STEPS_BACK
        kept = recent > 0
        weights = similar.data[chosen[kept]].real * recent[kept]
        where = (rows[kept], similar.indices[chosen[kept]])
        return csr_array((weights, where), shape=similar.shape)

    def _look_back(self, questions: Prefixes) -> "csr_array":
        """Weight ``(L − s) / L + i · 2^−s`` of each item, (Q, items), so one product sums both.

        The largest term of a sum of distinct powers of two can be read from the sum.
        """
        from scipy.sparse import csr_array

        rows, items, steps = distinct(questions)
        near = steps < LONGEST
        rows, items, steps = rows[near], items[near], steps[near]
        decay = 1 - steps / np.minimum(questions.lengths, LONGEST)[rows]
        weights = decay + 1j * 2.0**-steps
        shape = len(questions.lengths), self._newest.shape[0]
        return csr_array((weights, (rows, items)), shape=shape)


def _steps_back(powers: Floats) -> Ints:
    """The s of the largest term ``2^−s`` in each sum of distinct terms."""
    return 1 - np.frexp(powers)[1].astype(np.int64)


def _head(matrix: "csr_array", count: int) -> "csr_array":
    """The matrix with only the first ``count`` entries of each row, by column."""
    from scipy.sparse import csr_array

    matrix.sort_indices()
    rows, positions = spans(matrix.indptr[:-1], np.minimum(np.diff(matrix.indptr), count))
    entries = matrix.data[positions], (rows, matrix.indices[positions])
    return csr_array(entries, shape=matrix.shape)


def _part(questions: Prefixes, begin: int, end: int) -> Prefixes:
    offsets = questions.offsets[begin : end + 1]
    return Prefixes(questions.items[offsets[0] : offsets[-1]], offsets - offsets[0])
