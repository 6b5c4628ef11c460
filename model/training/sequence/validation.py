"""Validation of a sequence network on held-out events, at every position of a window."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.data.dataset import NO_NEXT
from model.networks.sequence import SequenceModel, States
from model.training.prediction import eval_mode, ranks_of
from model.training.results import Predictions, Validation
from model.training.sequence.judged import ALL
from model.training.windows import Batch, Batches

PADDED_TOKENS = 2_048
AT_ONCE = 256  # rows of the catalogue-wide score matrix


class Positions(NamedTuple):
    """N positions of held-out windows with a next item."""

    states: Tensor  # (N, D)
    copies: Tensor  # (N, L)
    rules: Tensor  # (N, E, L)
    items: Tensor  # (N, L) the window's codes
    positions: Tensor  # (N,)
    targets: Tensor  # (N,) catalogue indices, negative for an unknown item


def validate(
    network: SequenceModel, held_out: Batches, seed: int, windows: int = ALL.compared
) -> Validation:
    """Recall and MRR at 20 on a sample of the held-out windows, ranked in full."""
    ranks = predict(network, held_out, windows, seed).ranks
    return Validation.of(ranks)


@torch.no_grad()
def predict(
    network: SequenceModel,
    held_out: Batches,
    most: int,
    seed: int,
    is_over: Callable[[], bool] = lambda: False,
) -> Predictions:
    """Predict at every position of at most ``most`` windows, the same ones for a seed.

    The rest is left out once ``is_over``.
    """
    actions = network.config.intents
    ranks = [np.zeros(0, np.int64)]
    logits, intents = [np.zeros((0, actions), np.float32)], [np.zeros((0, actions), np.int8)]
    with eval_mode(network):
        table = network.item_vectors()
        for batch in held_out.in_order(PADDED_TOKENS, most, seed):
            found = look(network, batch, table)
            ranks += [_ranks(network, part, table) for part in positions(found, batch)]
            real = np.arange(batch.inputs.items.shape[1]) < batch.inputs.lengths[:, None]
            logits.append(network.intent(found.states).cpu().numpy()[real])
            intents.append(batch.intents[real])
            if is_over():
                break
    return Predictions(np.concatenate(ranks), np.concatenate(logits), np.concatenate(intents))


def look(network: SequenceModel, batch: Batch, table: Tensor) -> States:
    """The states at all positions of a batch; ``table`` holds the item vectors by code."""
    items, actions, gaps = (torch.from_numpy(c).to(network.device) for c in batch.inputs[:3])
    return network.look(items, actions, gaps, table[items.long()])


def positions(found: States, batch: Batch) -> Iterator[Positions]:
    """Yield the positions of a batch that have a next item, ``AT_ONCE`` at a time."""
    device = found.states.device
    items = torch.from_numpy(batch.inputs.items).to(device)
    next_items = torch.from_numpy(batch.next_items).to(device)
    rows, columns = torch.nonzero(next_items != NO_NEXT, as_tuple=True)
    for r, p in zip(torch.split(rows, AT_ONCE), torch.split(columns, AT_ONCE), strict=True):
        states, copies, rules = found.states[r, p], found.copies[r, p], found.rules[r, :, p]
        yield Positions(states, copies, rules, items[r], p, next_items[r, p])


def _ranks(network: SequenceModel, positions: Positions, table: Tensor) -> npt.NDArray[np.int64]:
    chances = network.chances(*positions[:4], table)  # (N, V)
    ranks: npt.NDArray[np.int64] = ranks_of(positions.targets, chances).cpu().numpy()
    return ranks
