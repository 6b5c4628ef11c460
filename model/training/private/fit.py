"""The private training of a sequence network, with user-level differential privacy.

Differentially private gradient steps (Abadi et al., "Deep Learning with Differential Privacy",
CCS 2016), where a user takes the place of an example. Everything else that could reveal single
users is left out: rules, balance, counts in negative sampling, early stopping, calibration.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.artifact.artifact import ATTRIBUTES
from model.data.attribute_codes import value_names
from model.networks.sequence import WAYS, SequenceModel
from model.training.noisy_counts import noisy_counts
from model.training.plan import Plan, Privacy, Progress, Recipe
from model.training.private.budget import Budget
from model.training.registry import Fitted
from model.training.results import Predictions
from model.training.sequence.co_occurrence import Counts
from model.training.sequence.fit import build
from model.training.sequence.objective import Objective
from model.training.sequence.title_vectors import read_title_vectors
from model.training.sequence.trainer import optimizer_of
from model.training.sequence.weight_average import Average
from model.training.training_data import TrainingData
from model.training.windows import Batch, Batches

Ints = npt.NDArray[np.int64]


def fit(data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> Fitted:
    """See ``registry.Fit``; trains once on the whole log and holds nothing out.

    1. Compute the noise that the privacy guarantee needs.
    2. Count with noise.
    3. Train with clipped user gradients and noise.
    """
    privacy = plan.privacy
    assert privacy is not None, "the registry picks this training for private plans only"
    items = len(data.catalogue)
    titles = read_title_vectors(data, plan)
    plan = replace(plan, dropout=0.0)  # the noise regularises enough
    network = build(data, plan, nothing_counted(items), titles)
    network.rules.requires_grad_(requires_grad=False)  # there are no counts for it
    nn.Module.to(network, plan.device)
    lots = Lots(Batches(data.whole, data.whole_labels, plan.config), data.whole.offsets)
    budget = Budget.of(privacy, lots.users, plan.recipe.epochs)
    # Not from the seed, which the manifest publishes: known noise can be subtracted.
    rng = np.random.default_rng(secrets.randbits(128))
    counted = noisy_counts(
        data.whole,
        data.whole_labels,
        items,
        data.held_out.end_ms,
        budget.counts_noise,
        rng,
    )
    Training(network, privacy, budget, plan.recipe, rng).run(lots, report)
    nn.Module.to(network, "cpu")
    nothing = np.zeros((0, len(plan.config.intents)))
    return Fitted(
        network,
        Predictions(np.zeros(0, np.int64), nothing.astype(np.float32), nothing.astype(np.int8)),
        refitted=True,
        files={ATTRIBUTES: {"values": list(value_names(data.catalogue, data.attributes))}},
        # The duration would reveal the number of windows and their lengths.
        made=titles.made | {"seconds": None, "privacy": budget.statement(privacy)},
        counted=counted,
    )


def nothing_counted(items: int) -> tuple[Counts, ...]:
    """Co-occurrence counts without a single pair."""
    empty = Counts(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(items, np.float32))
    return (empty,) * WAYS


class Lots:
    """Samples lots of users, with one window of each, from a log."""

    def __init__(self, batches: Batches, offsets: Ints) -> None:
        self._batches = batches
        owners = np.searchsorted(offsets, batches.windows.starts, side="right") - 1
        self._first = np.flatnonzero(np.diff(owners, prepend=-1))
        self._count = np.diff(self._first, append=len(owners))
        self.users = len(self._first)  # those with a target

    def draw(self, rate: float, rng: np.random.Generator) -> Iterator[Batch]:
        """Draw each user independently at this rate; yields one random window per user."""
        members = np.flatnonzero(rng.random(self.users) < rate)
        for window in self._first[members] + rng.integers(self._count[members]):
            yield self._batches.of(np.array([window]))


class Training:
    """Runs gradient steps on clipped user gradients with noise."""

    def __init__(
        self,
        network: SequenceModel,
        privacy: Privacy,
        budget: Budget,
        recipe: Recipe,
        rng: np.random.Generator,
    ) -> None:
        self._budget, self._recipe, self._clip, self._rng = budget, recipe, privacy.clip, rng
        # Uniform negatives and no counts: both would depend on other users.
        seen = torch.zeros(network.config.items)
        together = nothing_counted(network.config.items)
        self._objective = Objective(network, seen, together, recipe.weights)
        self._weights = [p for p in network.parameters() if p.requires_grad]
        tables = (module for module in network.modules() if isinstance(module, nn.Embedding))
        self._padded = [table for table in tables if table.padding_idx is not None]
        self._optimizer = optimizer_of(network, recipe)
        self._average = Average(network, recipe.average_decay)
        self._noise = torch.Generator(network.device).manual_seed(int(rng.integers(1 << 62)))
        self._loss = 0.0

    def run(self, lots: Lots, report: Callable[[Progress], None]) -> None:
        """Take all steps; leave the averaged weights."""
        rate, steps = self._budget.sample_rate, self._budget.steps
        self._objective.train()
        for step in range(1, steps + 1):
            self.step(lots.draw(rate, self._rng))
            report(Progress(step * rate, step / steps, self._loss, None))
        self._average.put()

    def step(self, lot: Iterable[Batch]) -> None:
        """Update the weights with the clipped gradients of a lot of users, plus noise."""
        total = self.total(lot)
        spread = self._budget.noise * self._clip
        expected = self._budget.sample_rate * self._budget.users
        for weight, summed in zip(self._weights, total, strict=True):
            drawn = torch.randn(summed.shape, generator=self._noise, device=summed.device)
            weight.grad = (summed + spread * drawn) / expected
        for table in self._padded:
            assert table.weight.grad is not None and table.padding_idx is not None
            table.weight.grad[table.padding_idx] = 0  # keeps noise out of the padding vector
        self._optimizer.step()
        self._average.update()

    def total(self, lot: Iterable[Batch]) -> list[Tensor]:
        """The sum of the users' gradients, each clipped to the norm ``clip``."""
        total = [torch.zeros_like(weight) for weight in self._weights]
        for window in lot:
            # A random seed of each user's own: one derived from the other users in the lot would
            # let a user change the gradients of the others.
            loss = self._objective(window, int(self._rng.integers(1 << 62)))
            found = torch.autograd.grad(loss, self._weights, allow_unused=True)
            add_clipped(total, found, self._clip)
            self._loss += 0.001 * (loss.item() - self._loss)
        return total


def add_clipped(total: Sequence[Tensor], found: Sequence[Tensor | None], clip: float) -> None:
    """Add a gradient to a total, scaled down to the norm ``clip`` if it is larger."""
    parts = [(index, grad) for index, grad in enumerate(found) if grad is not None]
    length = torch.linalg.vector_norm(torch.stack([grad.norm() for _, grad in parts]))
    if not torch.isfinite(length):
        return  # a gradient with a non-finite norm cannot be clipped
    share = (clip / length.clamp(min=clip)).item()
    for index, grad in parts:
        total[index].add_(grad, alpha=share)
