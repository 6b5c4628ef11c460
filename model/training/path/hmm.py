"""The hidden Markov model of sessions: fitted by expectation maximisation, with named states."""

from collections.abc import Callable

import numpy as np

from model.errors import DataError
from model.networks.path import END, OTHER, PACES, STATES
from model.training.path.forward_backward import Chances, Floats, Sessions, expect
from model.visits import RELATIONS, STAGES

STARTS = 3  # random restarts, since a search may end in a local optimum
STEPS = 40  # per search, at most
GAIN = 0.01  # nats over all sessions: a smaller gain ends the search


def search(
    sessions: Sessions,
    symbols: int,
    seed: int,
    tell: Callable[[int, float], None],
    is_over: Callable[[], bool] = lambda: False,
) -> Chances:
    """Fit the model from several random starts, drawn with the seed; returns the likeliest.

    Once ``is_over``, no other start is tried, and the present one ends with its next step.

    ``tell`` is called with the searches done, and the −log likelihood of the last one in nats per
    symbol. Raises ``DataError`` if no search reaches a finite likelihood.
    """
    filled = Sessions(sessions.symbols, sessions.lengths[sessions.lengths > 0])
    rng = np.random.default_rng(seed)
    best, likeliest = None, -np.inf
    for number in range(STARTS):
        found = maximise(_drawn(symbols, rng), filled, is_over)
        likelihood = expect(found, filled).likelihood
        tell(number + 1, -likelihood / len(filled.symbols))
        if likelihood > likeliest:
            best, likeliest = found, likelihood
        if is_over() and best is not None:
            break
    if best is None:
        raise DataError("no search reached a finite likelihood; give a longer log")
    return best


def maximise(
    chances: Chances, sessions: Sessions, is_over: Callable[[], bool] = lambda: False
) -> Chances:
    """Expectation maximisation (Baum and Welch) from these parameters; zeros in them stay zeros.

    A row about which the sessions say nothing keeps its values.
    """
    found, before = chances, -np.inf
    for _ in range(STEPS):
        expected = expect(found, sessions)
        counts = (expected.starts[None], expected.moves, expected.emitted)
        start, transition, emission = map(_normalised, counts)
        found = Chances(start[0], transition, emission)
        if expected.likelihood - before < GAIN or is_over():
            break
        before = expected.likelihood
    return Chances(
        found.start,
        _kept(found.transition, chances.transition),
        _kept(found.emission, chances.emission),
    )


def named(chances: Chances, bought: list[int]) -> Chances:
    """Put the states in the order of ``STAGES``, identified by their behaviour.

    Leaving is the stage most likely to be followed by the end; of the others, deciding has the
    largest share of the actions ``bought`` (indices into the actions); of the two left, comparing
    stays most with the items seen and their category. The last one is browsing.
    """
    shape = (STATES, -1, len(RELATIONS), PACES)
    steps = chances.emission[:, :-1].reshape(shape).sum(axis=3)  # (S + 1, types, relations)
    buys = steps[:, bought].sum(axis=(1, 2))
    stays = 1 - steps[:, :, OTHER].sum(axis=1)
    left = list(range(END))
    leaving = max(left, key=lambda state: chances.transition[state, END])
    left.remove(leaving)
    deciding = max(left, key=lambda state: buys[state])
    left.remove(deciding)
    browsing, comparing = sorted(left, key=lambda state: stays[state])
    order = [browsing, comparing, deciding, leaving, END]
    assert len(order) == len(STAGES) + 1
    return Chances(
        chances.start[order], chances.transition[order][:, order], chances.emission[order]
    )


def _drawn(symbols: int, rng: np.random.Generator) -> Chances:
    start = np.append(rng.dirichlet(np.ones(END)), 0.0)  # no session starts at its end
    transition = np.vstack([rng.dirichlet(np.ones(STATES), END), np.eye(STATES)[END]])
    emission = np.zeros((STATES, symbols + 1))
    emission[:END, :-1] = rng.dirichlet(np.ones(symbols), END)
    emission[END, -1] = 1.0  # and only the end emits it; EM keeps zeros at 0
    return Chances(start, transition, emission)


def _normalised(counts: Floats) -> Floats:
    """Rows of counts as probabilities; a row without counts stays 0."""
    totals = counts.sum(axis=1, keepdims=True)
    rows: Floats = counts / np.where(totals > 0, totals, 1.0)
    return rows


def _kept(found: Floats, drawn: Floats) -> Floats:
    """The fitted rows; a row that sums to 0, of a state without data, keeps its drawn values."""
    return np.where(found.sum(axis=1, keepdims=True) > 0, found, drawn)
