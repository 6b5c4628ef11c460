"""The forward-backward pass, against every path through tiny models and against hmmlearn."""

import sys
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.networks.path import END, STATES
from model.training.path import hmm
from model.training.path.forward_backward import Chances, Sessions, expect
from model.training.path.hmm import GAIN, STEPS, maximise

not_on_314 = pytest.mark.skipif(sys.version_info >= (3, 14), reason="hmmlearn has no wheel for it")

three_states = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=4)


def drawn(states: int, symbols: int, seed: int) -> Chances:
    rng = np.random.default_rng(seed)
    return Chances(
        rng.dirichlet(np.ones(states)),
        rng.dirichlet(np.ones(states), states),
        rng.dirichlet(np.ones(symbols), states),
    )


def sessions_of(rows: list[list[int]]) -> Sessions:
    return Sessions(np.array([s for row in rows for s in row]), np.array([len(r) for r in rows]))


def by_every_path(chances: Chances, rows: list[list[int]]) -> tuple[float, Any, Any, Any]:
    """Likelihood, starts, moves and emissions: each path of states, weighted by its probability."""
    likelihood = 0.0
    starts, moves, emitted = (np.zeros_like(table) for table in chances)
    for row in rows:
        paths = list(product(range(len(chances.start)), repeat=len(row)))
        weights = []
        for path in paths:
            weight = chances.start[path[0]]
            for before, after in pairwise(path):
                weight *= chances.transition[before, after]
            for state, symbol in zip(path, row, strict=True):
                weight *= chances.emission[state, symbol]
            weights.append(weight)
        likelihood += float(np.log(sum(weights)))
        for path, weight in zip(paths, np.array(weights) / sum(weights), strict=True):
            starts[path[0]] += weight
            for before, after in pairwise(path):
                moves[before, after] += weight
            for state, symbol in zip(path, row, strict=True):
                emitted[state, symbol] += weight
    return likelihood, starts, moves, emitted


@settings(deadline=None, max_examples=40)
@given(three_states, st.integers(0, 2**32 - 1))
def test_it_counts_what_all_paths_together_count(rows: list[list[int]], seed: int) -> None:
    chances = drawn(3, 4, seed)
    found = expect(chances, sessions_of(rows))

    for ours, theirs in zip(found, by_every_path(chances, rows), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_a_session_of_ten_thousand_actions_does_not_underflow() -> None:
    """Two symbols without memory: log P = N · log ½, where ½^N is 0 in floating point."""
    even = Chances(np.full(2, 0.5), np.full((2, 2), 0.5), np.full((2, 2), 0.5))
    found = expect(even, sessions_of([[0, 1] * 5_000]))

    assert found.likelihood == pytest.approx(10_000 * np.log(0.5))
    assert found.moves == pytest.approx(np.full((2, 2), 9_999 / 4))


def test_an_impossible_session_has_no_likelihood() -> None:
    never = Chances(np.array([1.0, 0.0]), np.eye(2), np.array([[1.0, 0.0], [0.0, 1.0]]))

    assert expect(never, sessions_of([[0, 0], [0, 1]])).likelihood == -np.inf


def visits(seed: int) -> list[list[int]]:
    """Sessions of 6 kinds of action; most are known to be over, which is symbol 6."""
    rng = np.random.default_rng(seed)
    return [
        [*rng.integers(0, 6, rng.integers(1, 9)).tolist(), *([6] if rng.random() < 0.8 else [])]
        for _ in range(200)
    ]


@not_on_314
@pytest.mark.parametrize("seed", range(4))
def test_a_search_ends_where_that_of_hmmlearn_ends(seed: int) -> None:
    from hmmlearn.hmm import CategoricalHMM

    rows = visits(seed)
    start = hmm._drawn(6, np.random.default_rng(seed))
    theirs = CategoricalHMM(STATES, n_features=7, n_iter=STEPS, tol=GAIN, init_params="")
    theirs.startprob_, theirs.transmat_, theirs.emissionprob_ = start
    sessions = sessions_of(rows)
    theirs.fit(sessions.symbols[:, None], sessions.lengths)
    ours = maximise(start, sessions)

    assert ours.start == pytest.approx(theirs.startprob_, abs=1e-9)
    assert ours.transition[:END] == pytest.approx(theirs.transmat_[:END], abs=1e-9)
    assert ours.emission == pytest.approx(theirs.emissionprob_, abs=1e-9)
    # Nothing follows the end: hmmlearn leaves zeros there, we what it began with.
    assert ours.transition[END].tolist() == [0, 0, 0, 0, 1]
    theirs.transmat_ = ours.transition
    likelihood = theirs.score(sessions.symbols[:, None], sessions.lengths)
    assert expect(ours, sessions).likelihood == pytest.approx(likelihood)


def test_a_step_of_the_search_never_makes_the_sessions_less_likely() -> None:
    sessions = sessions_of(visits(9))
    start = hmm._drawn(6, np.random.default_rng(9))

    assert expect(maximise(start, sessions), sessions).likelihood > (
        expect(start, sessions).likelihood
    )


def test_a_search_tries_no_other_start_once_its_time_is_over() -> None:
    sessions = sessions_of(visits(9))
    searches: list[int] = []

    found = hmm.search(sessions, 6, 1, lambda number, _: searches.append(number), lambda: True)

    assert searches == [1]
    assert np.allclose(found.transition.sum(axis=1), 1)
    steps = hmm.maximise(hmm._drawn(6, np.random.default_rng(1)), sessions, lambda: True)
    assert np.array_equal(found.emission, steps.emission)  # a start, and one step
