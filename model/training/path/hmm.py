"""The hidden Markov model of sessions: fitted by expectation maximisation, with named states."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.errors import DataError
from model.networks.path import END, OTHER, PACES, STATES
from model.visits import RELATIONS, STAGES

if TYPE_CHECKING:
    from hmmlearn.hmm import CategoricalHMM

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

STARTS = 3  # random restarts, since a search may end in a local optimum
STEPS = 40  # per search, at most
GAIN = 0.01  # nats over all sessions: a smaller gain ends the search


class Sessions(NamedTuple):
    """Concatenated sessions: the symbols of each, with the end symbol if it is known to be over."""

    symbols: Ints  # (N,)
    lengths: Ints  # (B,)


class Chances(NamedTuple):
    """A hidden Markov model; the last state is ``END``, the last symbol is the one it emits."""

    start: Floats  # (S + 1,)
    transition: Floats  # (S + 1, S + 1)
    emission: Floats  # (S + 1, N + 1)


def search(
    sessions: Sessions, symbols: int, seed: int, tell: Callable[[int, float], None]
) -> Chances:
    """Fit the model from several random starts, drawn with the seed; returns the likeliest.

    ``tell`` is called with the searches done, and the −log likelihood of the last one in nats per
    symbol. Raises ``DataError`` if no search reaches a finite likelihood.
    """
    filled = sessions.lengths > 0
    column, lengths = sessions.symbols[:, None], sessions.lengths[filled]
    rng = np.random.default_rng(seed)
    best, likeliest = None, -np.inf
    for number in range(STARTS):
        with _quiet():
            drawn = _drawn(symbols, rng)
            hmm = model_of(drawn)
            hmm.fit(column, lengths)
            hmm.transmat_ = _kept(hmm.transmat_, drawn.transition)
            hmm.emissionprob_ = _kept(hmm.emissionprob_, drawn.emission)
            likelihood = float(hmm.score(column, lengths))
        tell(number + 1, -likelihood / len(column))
        if likelihood > likeliest:
            best, likeliest = hmm, likelihood
    if best is None:
        raise DataError("no search reached a finite likelihood; give a longer log")
    return Chances(best.startprob_, best.transmat_, best.emissionprob_)


def model_of(chances: Chances) -> "CategoricalHMM":
    """The model in hmmlearn; fitting it starts from exactly these parameters."""
    from hmmlearn.hmm import CategoricalHMM

    hmm = CategoricalHMM(
        STATES, n_features=chances.emission.shape[1], n_iter=STEPS, tol=GAIN, init_params=""
    )
    hmm.startprob_, hmm.transmat_, hmm.emissionprob_ = chances
    return hmm


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


def _kept(found: Floats, drawn: Floats) -> Floats:
    """The fitted rows; a row that sums to 0, of a state without data, keeps its drawn values."""
    return np.where(found.sum(axis=1, keepdims=True) > 0, found, drawn)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence hmmlearn's warnings that nothing follows the end, which is intended."""
    logger = logging.getLogger("hmmlearn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
