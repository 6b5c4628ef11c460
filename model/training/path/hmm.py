"""The hidden Markov model of sessions, found by expectation maximisation, its states named."""

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

STARTS = 3  # of the search, which may end on a hill beside the highest
STEPS = 40  # of one search, at most
GAIN = 0.01  # nats of all sessions together: less, and the search is over


class Sessions(NamedTuple):
    """Sessions end to end, each the symbols of one, with the end where it is known to be over."""

    symbols: Ints  # (N,)
    lengths: Ints  # (B,)


class Chances(NamedTuple):
    """A hidden Markov model; the state ``END`` is the last one, and the last symbol its own."""

    start: Floats  # (S + 1,)
    transition: Floats  # (S + 1, S + 1)
    emission: Floats  # (S + 1, N + 1)


def search(
    sessions: Sessions, symbols: int, seed: int, tell: Callable[[int, float], None]
) -> Chances:
    """The likeliest model that several searches find, each from chances drawn by the seed.

    ``tell`` is told how many searches there were, and the −log likelihood of the last one, in nats
    a symbol. Raises ``DataError`` if none found a likelihood that is a number.
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
        raise DataError("no search found a likelihood that is a number; give a longer log")
    return Chances(best.startprob_, best.transmat_, best.emissionprob_)


def model_of(chances: Chances) -> "CategoricalHMM":
    """The same model in hmmlearn, whose searches begin with just these chances."""
    from hmmlearn.hmm import CategoricalHMM

    hmm = CategoricalHMM(
        STATES, n_features=chances.emission.shape[1], n_iter=STEPS, tol=GAIN, init_params=""
    )
    hmm.startprob_, hmm.transmat_, hmm.emissionprob_ = chances
    return hmm


def named(chances: Chances, bought: list[int]) -> Chances:
    """The states in the order of ``STAGES``, told by what they do.

    Leaving is the stage likeliest to be followed by the end; of the others, deciding does most of
    the actions ``bought``, places in the actions; of the two left, comparing stays most with the
    items seen and their category. Browsing is the rest.
    """
    shape = (STATES, -1, len(RELATIONS), PACES)
    steps = chances.emission[:, :-1].reshape(shape).sum(axis=3)  # (S + 1, kinds, relations)
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
    start = np.append(rng.dirichlet(np.ones(END)), 0.0)  # no session begins with its end
    transition = np.vstack([rng.dirichlet(np.ones(STATES), END), np.eye(STATES)[END]])
    emission = np.zeros((STATES, symbols + 1))
    emission[:END, :-1] = rng.dirichlet(np.ones(symbols), END)
    emission[END, -1] = 1.0  # and only the end looks like it; what is 0 stays 0 in a search
    return Chances(start, transition, emission)


def _kept(found: Floats, drawn: Floats) -> Floats:
    """What was found, row by row; where no session came to a state or left it, what was drawn."""
    return np.where(found.sum(axis=1, keepdims=True) > 0, found, drawn)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without hmmlearn's notes that nothing follows the end, which is how it is meant to be."""
    logger = logging.getLogger("hmmlearn")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
