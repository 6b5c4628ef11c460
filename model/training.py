"""The training: from batches of windows to the weights that were best on held-out events."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from model.dataset import NO_NEXT
from model.features import FIRST_ITEM, UNKNOWN_ITEM
from model.losses import Negatives, category_loss, intent_loss, next_item_loss
from model.metrics import mrr_at, recall_at
from model.networks.experts import join
from model.networks.transformer import TransformerModel
from model.windows import Batch, Batches

Tensors = tuple[Tensor, ...] | list[Tensor]

VALIDATION_WINDOWS = 4_000  # enough to tell two epochs apart
VALIDATION_TOKENS = 2_048
RANKED_AT_ONCE = 512  # rows of the catalogue-wide score matrix
CUTOFF = 20


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; the defaults were found on public session data (docs/adr/training.md)."""

    epochs: int = 10
    minutes: float | None = None  # the schedule then ends by this time, and no run is like another
    seed: int = 0
    padded_tokens: int = 1_024  # in a batch
    draws: int = 2_048  # negatives, where the catalogue is too large to take whole
    learning_rate: float = 2e-3
    embedding_rate: float = 4.0  # times the learning rate; unit vectors turn slowly
    warm_up_steps: int = 100
    weight_decay: float = 0.01
    average_decay: float = 0.999
    clip_norm: float = 5.0
    unknown_share: float = 0.01  # of items hidden, so that the unknown one is learnt too
    category_weight: float = 0.1
    intent_weight: float = 1.0
    patience: int = 2  # epochs without a better validation


class Validation(NamedTuple):
    """How good the weights are on held-out events; compares by recall, then by MRR."""

    recall: float  # at 20
    mrr: float  # at 20


class Predictions(NamedTuple):
    """What the network says of held-out events, and what happened."""

    ranks: npt.NDArray[np.int64]  # (N,) of the next item, 0 if it is not in the catalogue
    intent_logits: npt.NDArray[np.float32]  # (M, A)
    intents: npt.NDArray[np.int8]  # (M, A) 1, 0, or CENSORED


class Progress(NamedTuple):
    """Where the training is; ``validation`` stands at the end of an epoch."""

    epoch: int
    done: float  # of the whole schedule, 0 to 1
    loss: float  # a running mean
    validation: Validation | None


def train(
    model: TransformerModel,
    batches: Batches,
    held_out: Batches,
    counts: npt.ArrayLike,
    recipe: Recipe,
    report: Callable[[Progress], None] = lambda _: None,
) -> Validation:
    """Train in place and leave the model, in eval mode, with the best averaged weights.

    ``counts`` (V,) says how often each item was acted on. On a CPU with one thread the same seed
    gives the same weights, unless ``recipe.minutes`` cuts in.
    """
    return _Training(model, batches, held_out, torch.as_tensor(counts), recipe, report).run()


class _Training:
    def __init__(
        self,
        model: TransformerModel,
        batches: Batches,
        held_out: Batches,
        counts: Tensor,
        recipe: Recipe,
        report: Callable[[Progress], None],
    ) -> None:
        self.model, self.batches, self.held_out = model, batches, held_out
        self.recipe, self.report = recipe, report
        self.negatives = Negatives(counts, recipe.draws)
        self.generator = torch.Generator().manual_seed(recipe.seed)
        self.average = AveragedModel(model, multi_avg_fn=_average_fn(recipe.average_decay))
        self.optimizer = _optimizer(model, recipe)
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        self.steps = max(1, recipe.epochs * batches.count(recipe.padded_tokens))
        self.step = 0
        self.started_s = time.monotonic()
        self.loss = 0.0

    @property
    def averaged(self) -> TransformerModel:
        """The network with averaged weights."""
        assert isinstance(self.average.module, TransformerModel)
        return self.average.module

    def run(self) -> Validation:
        torch.manual_seed(self.recipe.seed)  # dropout has no generator of its own
        rng = np.random.default_rng(self.recipe.seed)
        best, weights, since = Validation(-1.0, -1.0), None, 0
        for epoch in range(1, self.recipe.epochs + 1):
            self._epoch(epoch, rng)
            found = validate(self.averaged, self.held_out, self.recipe.seed)
            self.report(Progress(epoch, self._done(), self.loss, found))
            since += 1
            if found > best:
                best, since = found, 0
                weights = {k: v.clone() for k, v in self.averaged.state_dict().items()}
            if since >= self.recipe.patience or self._done() >= 1:
                break
        assert weights is not None
        self.model.load_state_dict(weights)
        self.model.train(False)
        return best

    def _epoch(self, epoch: int, rng: np.random.Generator) -> None:
        self.model.train()
        for batch in self.batches.shuffled(self.recipe.padded_tokens, rng):
            if self._done() >= 1:
                return
            loss = self._loss(_hide_some(batch, self.recipe.unknown_share, rng))
            self._update(loss)
            self.loss = loss.item() if self.step == 1 else 0.98 * self.loss + 0.02 * loss.item()
            self.report(Progress(epoch, self._done(), self.loss, None))

    def _update(self, loss: Tensor) -> None:
        rate = self._rate()
        for group, full in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = full * rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.step += 1

    def _done(self) -> float:
        by_steps = self.step / self.steps
        if self.recipe.minutes is None:
            return by_steps
        return max(by_steps, (time.monotonic() - self.started_s) / 60 / self.recipe.minutes)

    def _rate(self) -> float:
        """Linear warm-up, then half a cosine down to nothing."""
        warm_up = min(self.recipe.warm_up_steps, 1 + self.steps // 10)
        warm = min(1.0, (self.step + 1) / warm_up)
        return warm * 0.5 * (1 + math.cos(math.pi * min(1.0, self._done())))

    def _loss(self, batch: Batch) -> Tensor:
        model, device = self.model, self.model.device
        items, actions, gaps = (torch.from_numpy(codes).to(device) for codes in batch.inputs[:3])
        next_items = torch.from_numpy(batch.next_items).to(device)
        rows, places = torch.nonzero(next_items >= 0, as_tuple=True)  # N positions
        targets = next_items[rows, places]  # (N,)
        negatives, correction = (part.to(device) for part in self.negatives.draw(self.generator))
        window, ours, theirs = self._vectors(
            items.long(), targets + FIRST_ITEM, negatives + FIRST_ITEM
        )
        states, copies = model.encode(items, actions, gaps, window)
        intents = torch.from_numpy(batch.intents).to(device)
        loss = self.recipe.intent_weight * intent_loss(model.intent(states), intents)
        if not len(rows):
            return loss
        state = states[rows, places]  # (N, D)
        categories = model.item_attribute[targets + FIRST_ITEM] - 1
        loss = loss + self.recipe.category_weight * category_loss(model.category(state), categories)
        queries, bias = model.generate(state), model.out.bias[FIRST_ITEM:]
        return loss + next_item_loss(
            targets=(queries * ours).sum(1) + bias[targets],
            negatives=queries @ theirs.T + (bias[negatives] - correction),
            hits=targets[:, None] == negatives,
            copies=copies[rows, places],
            copied=items[rows] == (targets + FIRST_ITEM)[:, None],
        )

    def _vectors(self, *codes: Tensor) -> Iterator[Tensor]:
        """The vectors of these item codes; each is made, and gets its gradient, only once."""
        flat = torch.cat([part.flatten() for part in codes])
        used, place = torch.unique(flat, return_inverse=True)
        vectors = functional.embedding(place, self.model.item_vectors(used))
        parts = torch.split(vectors, [part.numel() for part in codes])
        return (v.view(*c.shape, v.shape[-1]) for v, c in zip(parts, codes, strict=True))


def validate(model: TransformerModel, held_out: Batches, seed: int) -> Validation:
    """Recall and MRR at 20 on a sample of the held-out windows, ranked in full."""
    ranks = predict(model, held_out, VALIDATION_WINDOWS, seed).ranks
    return Validation(recall_at(ranks, CUTOFF), mrr_at(ranks, CUTOFF))


@torch.no_grad()
def predict(model: TransformerModel, held_out: Batches, most: int, seed: int) -> Predictions:
    """Predict from every position of at most so many windows, the same ones for a seed."""
    was_training = model.training
    model.train(False)
    vectors = model.item_vectors()[FIRST_ITEM:]
    parts = [
        _predict(model, vectors, batch)
        for batch in held_out.in_order(VALIDATION_TOKENS, most, seed)
    ]
    model.train(was_training)
    width = model.config.intents
    nothing = Predictions(
        np.zeros(0, np.int64), np.zeros((0, width), np.float32), np.zeros((0, width), np.int8)
    )
    return Predictions(*(np.concatenate(part) for part in zip(nothing, *parts, strict=True)))


def _predict(model: TransformerModel, vectors: Tensor, batch: Batch) -> Predictions:
    inputs = [torch.from_numpy(codes).to(vectors.device) for codes in batch.inputs[:3]]
    states, copies = model.encode(*inputs)
    next_items = torch.from_numpy(batch.next_items).to(vectors.device)
    rows, places = torch.nonzero(next_items != NO_NEXT, as_tuple=True)
    ranks = [
        _ranks(model, vectors, states[r, p], copies[r, p], inputs[0][r], next_items[r, p])
        for r, p in zip(
            torch.split(rows, RANKED_AT_ONCE), torch.split(places, RANKED_AT_ONCE), strict=True
        )
    ]
    real = np.arange(batch.inputs.items.shape[1]) < batch.inputs.lengths[:, None]
    logits = model.intent(states).cpu().numpy()
    return Predictions(torch.cat(ranks).cpu().numpy(), logits[real], batch.intents[real])


def _ranks(
    model: TransformerModel,
    vectors: Tensor,
    states: Tensor,
    copies: Tensor,
    items: Tensor,
    targets: Tensor,
) -> Tensor:
    """The place of each target in the whole catalogue, the last among equals; 0 if unknown."""
    scores = model.generate(states) @ vectors.T + model.out.bias[FIRST_ITEM:]
    probabilities = join(scores, copies, items)  # (N, V)
    ours = probabilities.gather(1, targets.clamp(min=0)[:, None])
    ranks = (probabilities >= ours).sum(1)
    return ranks.masked_fill(targets < 0, 0)


def _hide_some(batch: Batch, share: float, rng: np.random.Generator) -> Batch:
    items = batch.inputs.items
    hidden = (rng.random(items.shape) < share) & (items >= FIRST_ITEM)
    return batch._replace(
        inputs=batch.inputs._replace(items=np.where(hidden, UNKNOWN_ITEM, items).astype(np.int32))
    )


def _optimizer(model: TransformerModel, recipe: Recipe) -> torch.optim.Optimizer:
    """Tables of vectors learn faster and never decay; nor does what is not a matrix."""
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    others = [p for p in model.parameters() if all(p is not table for table in tables)]
    fast, slow = recipe.learning_rate * recipe.embedding_rate, recipe.learning_rate
    groups = [
        {"params": tables, "lr": fast, "weight_decay": 0.0},
        {"params": [p for p in others if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in others if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=slow, fused=True)


def _average_fn(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    def average(averaged: Tensors, current: Tensors, n_averaged: Tensor | int) -> None:
        n = int(n_averaged)
        # At first the average follows closely, or a short training would end near its start.
        kept = min(decay, (1 + n) / (10 + n))
        torch._foreach_lerp_(averaged, current, 1 - kept)

    return average
