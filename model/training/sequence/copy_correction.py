"""The correction of copy: how users return to items, fitted on held-out events.

A network that stops early has moved copy's tables little, as they start at 0 and the rate is
small, while the match of its states and keys has already learned the log by heart. So the match
is scaled, and the steps back to a place, the times of its item and the depth in the window get an
addend each. All of it goes into weights that the network has: serving pays nothing.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from torch import Tensor

from model.artifact.copying import STEPS, TIMES
from model.features import FIRST_ITEM
from model.networks.positions import BUCKETS, buckets
from model.networks.sequence import SequenceModel
from model.training.prediction import eval_mode
from model.training.sequence.expert_balance import TEMPERATURES, weigh
from model.training.sequence.judged import ALL, Judged
from model.training.sequence.validation import (
    PADDED_TOKENS,
    Positions,
    look,
    positions,
    validate,
)
from model.training.windows import Batches

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

RIDGE = 1.0  # nats for an addend of 1, and for a scale of e: regularises buckets with few events
FURTHEST = 5.0  # nats: the largest addend
SCALES = (-3.0, 1.0)  # the logarithms of the smallest scale and of the largest
LEAST = 1e-300  # a probability of the target, so that it has a logarithm
PARTS = np.cumsum([len(STEPS) + 1, len(TIMES) + 1, BUCKETS])  # where each table ends


class CopyCorrection(NamedTuple):
    """What is added to copy's logits, and what its match is multiplied by."""

    steps: Tensor  # (len(STEPS) + 1,) by the steps back to the place, in buckets
    times: Tensor  # (len(TIMES) + 1,) by the times of its item so far
    depths: Tensor  # (buckets,) as in the balance
    scale: float

    @classmethod
    def of(cls, weights: Floats) -> "CopyCorrection":
        """From all addends and the logarithm of the scale."""
        *tables, (scale,) = np.split(weights, PARTS)
        steps, times, depths = (torch.from_numpy(table).float() for table in tables)
        return cls(steps, times, depths, math.exp(scale))

    def put(self, network: SequenceModel) -> None:
        """Write the correction into the weights of a network that has none yet."""
        copy, device = network.copy, network.device
        for table, added, starts in (
            (copy.distance.data, self.steps, STEPS),
            (copy.occurrences.data, self.times, TIMES),
        ):
            cells = np.searchsorted(starts, np.arange(len(table)), side="right")
            table.add_(added[cells].to(device))
        copy.query.weight.data.mul_(self.scale)
        network.balance[:, 0] += self.depths.to(device)


class Places(NamedTuple):
    """The K places that copy may name at N positions, beside what the other experts say."""

    rows: Ints  # (K,) the position
    cells: Ints  # (K, 2) buckets of steps and times
    logits: Floats  # (K,) of copy, less the logarithm of the others' mass
    match: Floats  # (K,) the part of the logit that states and keys make
    hits: npt.NDArray[np.bool_]  # (K,) whether the place has the target
    depths: Ints  # (N,) buckets
    others: Floats  # (N,) the share of the target in the others' mass


def correct_copy(
    network: SequenceModel, held_out: Batches, seed: int, judged: Judged = ALL
) -> CopyCorrection:
    """Fit the correction of a balanced network, write it into the network, and return it.

    Neutral, and nothing written, where the likeliest correction ranks worse than none.
    """
    neutral = CopyCorrection.of(np.zeros(PARTS[-1] + 1))
    places = _gather(network, held_out, seed, judged.fitted)
    if places is None:
        return neutral
    fitted = CopyCorrection.of(_fit(places))
    before = validate(network, held_out, seed, judged.compared).total
    kept = [weights.clone() for weights in _corrected(network)]
    fitted.put(network)
    if validate(network, held_out, seed, judged.compared).total >= before:
        return fitted
    for weights, was in zip(_corrected(network), kept, strict=True):
        weights.copy_(was)
    return neutral


def _corrected(network: SequenceModel) -> tuple[Tensor, ...]:
    copy = network.copy
    tables = (copy.distance.data, copy.occurrences.data, copy.query.weight.data)
    return *tables, network.balance


@contextmanager
def _without_match(network: SequenceModel) -> Iterator[None]:
    """Leave the match out of copy's logits for the duration of the block."""
    query = network.copy.query.weight.data
    before = query.clone()
    query.zero_()
    try:
        yield
    finally:
        query.copy_(before)


def _fit(places: Places) -> Floats:
    """The addends and the logarithm of the scale that make the targets likeliest.

    Least ``Σ −log (others + Σ_{k hits} e^{l_k}) / (1 + Σ_k e^{l_k})`` over the N positions.
    """
    rows, hits, size = places.rows, places.hits, len(places.others)
    columns = np.column_stack([places.cells, places.depths[rows]]) + np.append(0, PARTS[:-1])

    def cost(weights: Floats) -> tuple[float, Floats]:
        scale = np.exp(weights[-1])
        logits = places.logits + (scale - 1) * places.match + weights[columns].sum(axis=1)
        masses = np.exp(logits)
        total = 1 + np.bincount(rows, masses, size)
        right = np.maximum(places.others + np.bincount(rows, masses * hits, size), LEAST)
        excess = masses / total[rows] - masses * hits / right[rows]
        slope = RIDGE * weights
        for column in columns.T:
            slope += np.bincount(column, excess, len(weights))
        slope[-1] += scale * (excess * places.match).sum()
        loss = (np.log(total) - np.log(right)).sum() + RIDGE * (weights**2).sum() / 2
        return float(loss), slope

    start = np.zeros(PARTS[-1] + 1)
    bounds = [(-FURTHEST, FURTHEST)] * int(PARTS[-1]) + [SCALES]
    fitted: Floats = minimize(cost, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return fitted


@torch.no_grad()
def _gather(network: SequenceModel, held_out: Batches, seed: int, windows: int) -> Places | None:
    parts: list[Places] = []
    with eval_mode(network):
        table = network.item_vectors()
        for batch in held_out.in_order(PADDED_TOKENS, windows, seed):
            whole = look(network, batch, table)
            with _without_match(network):
                blind = look(network, batch, table)
            pairs = zip(positions(whole, batch), positions(blind, batch), strict=True)
            parts += [_places(network, found, other.copies, table) for found, other in pairs]
    sizes = [len(part.others) for part in parts]
    if not sum(sizes):
        return None
    begins = np.cumsum([0, *sizes[:-1]]).tolist()
    moved = [part._replace(rows=part.rows + at) for part, at in zip(parts, begins, strict=True)]
    return Places(*(np.concatenate(column) for column in zip(*moved, strict=True)))


def _places(network: SequenceModel, found: Positions, blind: Tensor, table: Tensor) -> Places:
    """The places of some positions; ``blind`` (N, L) are copy's logits without the match."""
    known = found.targets >= 0
    found, blind = Positions(*(part[known] for part in found)), blind[known]
    seen = weigh(network, found, table)
    ones = TEMPERATURES.index(1.0)
    masses = torch.cat([seen.generated[:, ones, None], seen.masses[:, 1:]], 1).logsumexp(1)
    hits = torch.cat([seen.generated_hits[:, ones, None], seen.hits[:, 1:]], 1).logsumexp(1)
    steps = found.positions[:, None] - torch.arange(found.items.shape[1], device=blind.device)
    same = found.items[:, :, None] == found.items[:, None, :]  # (N, L, L)
    times = (same & (steps >= 0)[:, None, :]).sum(2)
    rows, columns = torch.nonzero(torch.isfinite(found.copies), as_tuple=True)

    def at(values: Tensor) -> npt.NDArray[np.float64]:
        return values[rows, columns].cpu().numpy().astype(np.float64)

    return Places(
        rows.cpu().numpy(),
        np.column_stack(
            [
                np.searchsorted(STEPS, at(steps), side="right"),
                np.searchsorted(TIMES, at(times), side="right"),
            ]
        ),
        at(found.copies) - masses[rows].cpu().numpy(),
        at(found.copies) - at(blind),
        at(found.items) == (found.targets[rows] + FIRST_ITEM).cpu().numpy(),
        buckets(found.positions, 0, found.positions.device).cpu().numpy(),
        (hits - masses).exp().cpu().numpy(),
    )
