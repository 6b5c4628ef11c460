"""The scaled forward-backward pass: what a hidden Markov model expects of sessions it has seen.

Scaled as in Rabiner, "A Tutorial on Hidden Markov Models …", Proceedings of the IEEE 1989, section
V.A: at each step the forward probabilities are divided by their sum c_t, so that none of them
underflows, and log P(session) = Σ_t log c_t.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Sessions(NamedTuple):
    """Concatenated sessions: the symbols of each, with the end symbol if it is known to be over."""

    symbols: Ints  # (N,)
    lengths: Ints  # (B,)


class Chances(NamedTuple):
    """A hidden Markov model of S states and N symbols; each row of probabilities sums to 1."""

    start: Floats  # (S,)
    transition: Floats  # (S, S); row: from, column: to
    emission: Floats  # (S, N)


class Expected(NamedTuple):
    """How often the model expects to have been where, over all sessions."""

    likelihood: float  # log likelihood of the sessions, in nats; −∞ if one of them is impossible
    starts: Floats  # (S,) sessions that start in each state
    moves: Floats  # (S, S) steps from state to state
    emitted: Floats  # (S, N) times that a state emitted a symbol


class _Grid(NamedTuple):
    """Sessions side by side, the longest first, so that those with a step t are the first ones."""

    symbols: Ints  # (T, B)
    real: npt.NDArray[np.bool_]  # (T, B)
    alive: list[int]  # by t: sessions longer than t


def expect(chances: Chances, sessions: Sessions) -> Expected:
    """The expected counts of the model in the sessions: the E step of Baum and Welch."""
    grid = _side_by_side(sessions)
    emission = chances.emission.T[grid.symbols]  # (T, B, S): b_j(o_t)
    with np.errstate(divide="ignore", invalid="ignore"):  # an impossible session
        forward, scale = _forward(chances, emission, grid)
        likelihood = float(np.log(scale).sum())
        backward, moves = _backward(chances, emission, forward, scale, grid)
    stages = forward * backward  # γ_t(i) = α̂_t(i) β̂_t(i)
    emitted = [
        np.bincount(grid.symbols[grid.real], of_state[grid.real], chances.emission.shape[1])
        for of_state in np.moveaxis(stages, 2, 0)
    ]
    return Expected(likelihood, stages[0].sum(axis=0), moves, np.array(emitted))


def _side_by_side(sessions: Sessions) -> _Grid:
    order = np.argsort(-sessions.lengths, kind="stable")
    lengths = sessions.lengths[order]
    firsts = (np.cumsum(sessions.lengths) - sessions.lengths)[order]
    steps = np.arange(lengths.max(initial=0))[:, None]
    real = steps < lengths
    symbols = sessions.symbols[np.where(real, firsts + steps, 0)]
    return _Grid(symbols, real, real.sum(axis=1).tolist())


def _forward(chances: Chances, emission: Floats, grid: _Grid) -> tuple[Floats, Floats]:
    """α̂ (T, B, S) and c (T, B): α̂_t(j) = Σ_i α̂_{t−1}(i) a_ij b_j(o_t) / c_t."""
    forward, scale = np.zeros(emission.shape), np.ones(emission.shape[:2])
    for t, alive in enumerate(grid.alive):
        prior = forward[t - 1, :alive] @ chances.transition if t else chances.start
        joint = prior * emission[t, :alive]
        scale[t, :alive] = joint.sum(axis=1)
        forward[t, :alive] = joint / scale[t, :alive, None]
    return forward, scale


def _backward(
    chances: Chances, emission: Floats, forward: Floats, scale: Floats, grid: _Grid
) -> tuple[Floats, Floats]:
    """β̂ (T, B, S) and the expected moves Σ_t ξ_t (S, S).

    β̂_t(i) = Σ_j a_ij b_j(o_{t+1}) β̂_{t+1}(j) / c_{t+1}, and
    ξ_t(i, j) = α̂_t(i) a_ij b_j(o_{t+1}) β̂_{t+1}(j) / c_{t+1}.
    """
    backward, reached = np.ones(emission.shape), np.zeros_like(chances.transition)
    for t in range(len(grid.alive) - 1, 0, -1):
        alive = grid.alive[t]
        ahead = emission[t, :alive] * backward[t, :alive] / scale[t, :alive, None]
        backward[t - 1, :alive] = ahead @ chances.transition.T
        reached += forward[t - 1, :alive].T @ ahead
    return backward, reached * chances.transition
