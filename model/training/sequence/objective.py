"""The objective: the loss of a sequence network on a batch of windows."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.features import FIRST_ITEM, UNKNOWN_ITEM
from model.networks.experts import support_of
from model.networks.sequence import SequenceModel, States
from model.training.losses import Negatives, category_loss, intent_loss, next_item_loss
from model.training.plan import Weights
from model.training.sequence.co_occurrence import Counts, leave_out
from model.training.windows import Batch


class Objective(nn.Module):
    """A sequence network and its loss in one module, so that it can be distributed.

    All randomness derives from the number given to ``forward``, so a resumed run equals an
    uninterrupted one.
    """

    def __init__(
        self, network: SequenceModel, seen: Tensor, together: tuple[Counts, ...], weights: Weights
    ) -> None:
        """``seen`` (V,) are the actions on each item, ``together`` the co-occurrence counts."""
        super().__init__()
        self.network = network
        self._negatives = Negatives(seen, weights.draws)
        self._together = together
        self._weights = weights

    def forward(self, batch: Batch, number: int) -> Tensor:
        """The loss of a batch: its next items, their categories, and its intents."""
        device = self.network.device
        rng = np.random.default_rng(number)
        batch = _hide_some(batch, self._weights.unknown_share, rng)
        items, actions, gaps = (torch.from_numpy(codes).to(device) for codes in batch.inputs[:3])
        next_items = torch.from_numpy(batch.next_items).to(device)
        rows, positions = torch.nonzero(next_items >= 0, as_tuple=True)  # N positions
        targets = next_items[rows, positions]  # (N,)
        generator = torch.Generator().manual_seed(number)
        negatives, correction = (part.to(device) for part in self._negatives.draw(generator))
        window, target_vectors, negative_vectors = self._vectors(
            rng, items.long(), targets + FIRST_ITEM, negatives + FIRST_ITEM
        )
        left = leave_out(
            self._together,
            batch.inputs.items.astype(np.int64) - FIRST_ITEM,
            batch.next_items,
            batch.inputs.lengths.astype(np.int64),
        )
        support = support_of(torch.from_numpy(left.sums).to(device))
        found = self.network.look(items, actions, gaps, window, support=support)
        intents = torch.from_numpy(batch.intents).to(device)
        loss = self._weights.intent * intent_loss(self.network.intent(found.states), intents)
        if not len(rows):
            return loss
        state = found.states[rows, positions]  # (N, D)
        queries, bias = self.network.generate(state), self.network.out.bias[FIRST_ITEM:]
        return (
            loss
            + self._category_loss(state, targets)
            + next_item_loss(
                targets=(queries * target_vectors).sum(1) + bias[targets],
                negatives=queries @ negative_vectors.T + (bias[negatives] - correction),
                hits=targets[:, None] == negatives,
                **_others(
                    found, items, torch.from_numpy(left.shares).to(device), rows, positions, targets
                ),
            )
        )

    def _category_loss(self, states: Tensor, targets: Tensor) -> Tensor:
        categories = self.network.item_category[targets + FIRST_ITEM].long() - 1
        return self._weights.category * category_loss(self.network.category(states), categories)

    def _vectors(self, rng: np.random.Generator, *codes: Tensor) -> tuple[Tensor, ...]:
        """The vectors of these item codes; each distinct code is computed only once."""
        flat = torch.cat([part.flatten() for part in codes])
        used, inverse = torch.unique(flat, return_inverse=True)
        known = None
        if self.network.config.attributes or self.network.config.text_width:
            drawn = rng.random((len(used), 1)) >= self._weights.new_share
            known = torch.from_numpy(drawn.astype(np.float32)).to(used.device)
        vectors = functional.embedding(inverse, self.network.item_vectors(used, known))
        parts = torch.split(vectors, [part.numel() for part in codes])
        return tuple(v.view(*c.shape, v.shape[-1]) for v, c in zip(parts, codes, strict=True))


def _others(
    found: States, items: Tensor, shares: Tensor, rows: Tensor, positions: Tensor, targets: Tensor
) -> dict[str, Tensor]:
    """The arguments of ``next_item_loss`` from copy and rules at N positions."""
    return {
        "copies": found.copies[rows, positions],
        "copied": items[rows] == (targets + FIRST_ITEM)[:, None],
        "rules": found.rules[rows, :, positions].flatten(1),
        "shares": shares[rows, :, positions].flatten(1),
    }


def _hide_some(batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    items = batch.inputs.items
    hidden = (rng.random(items.shape) < share) & (items >= FIRST_ITEM)
    return batch._replace(
        inputs=batch.inputs._replace(items=np.where(hidden, UNKNOWN_ITEM, items).astype(np.int32))
    )
