"""The private training: no user, with all of their events, changes the artifact by much.

Differentially private gradient steps (Abadi et al., "Deep Learning with Differential Privacy",
CCS 2016), with a user for what is an example there. All that would tell of single users by another
way is left out: rules, balance, counts in the sampling of negatives, early stopping, calibration.
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
    """See ``registry.Fit``; learns from the whole log, once, and holds nothing out.

    1. Work out how much noise the promise asks for.
    2. Count with noise.
    3. Learn, each user's share in a step cut short, with noise.
    """
    privacy = plan.privacy
    assert privacy is not None, "without it there is another training"
    items = len(data.catalogue)
    titles = read_title_vectors(data, plan)
    plan = replace(plan, dropout=0.0)  # noise is enough
    network = build(data, plan, nothing_counted(items), titles)
    network.rules.requires_grad_(requires_grad=False)  # there is nothing for it to go by
    nn.Module.to(network, plan.device)
    lots = Lots(Batches(data.whole, data.whole_labels, plan.config), data.whole.offsets)
    budget = Budget.of(privacy, lots.users, plan.recipe.epochs)
    # Not by the seed, which the manifest tells: who knows the noise can take it off again.
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
        # How long it took would tell how many windows were looked at, and how long these are.
        made=titles.made | {"seconds": None, "privacy": budget.statement(privacy)},
        counted=counted,
    )


def nothing_counted(items: int) -> tuple[Counts, ...]:
    """Counts of pairs of items, of which there are none."""
    empty = Counts(np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(items, np.float32))
    return (empty,) * WAYS


class Lots:
    """The users of a log, each with their windows, of which one is taken at a time."""

    def __init__(self, batches: Batches, offsets: Ints) -> None:
        self._batches = batches
        owners = np.searchsorted(offsets, batches.windows.starts, side="right") - 1
        self._first = np.flatnonzero(np.diff(owners, prepend=-1))
        self._count = np.diff(self._first, append=len(owners))
        self.users = len(self._first)  # those with something to learn from

    def draw(self, rate: float, rng: np.random.Generator) -> Iterator[Batch]:
        """Each user with this chance, whoever else is in it; one window of each, alone."""
        members = np.flatnonzero(rng.random(self.users) < rate)
        for window in self._first[members] + rng.integers(self._count[members]):
            yield self._batches.of(np.array([window]))


class Training:
    """Steps, each of clipped shares of users and of noise."""

    def __init__(
        self,
        network: SequenceModel,
        privacy: Privacy,
        budget: Budget,
        recipe: Recipe,
        rng: np.random.Generator,
    ) -> None:
        self._budget, self._recipe, self._clip, self._rng = budget, recipe, privacy.clip, rng
        # Uniform negatives, and no counts: they would be those of other users.
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
        """Take all steps, and leave the averaged weights."""
        rate, steps = self._budget.sample_rate, self._budget.steps
        self._objective.train()
        for step in range(1, steps + 1):
            self.step(lots.draw(rate, self._rng))
            report(Progress(step * rate, step / steps, self._loss, None))
        self._average.put()

    def step(self, lot: Iterable[Batch]) -> None:
        """Move the weights by what a lot of users says, one by one, and by noise."""
        total = self.total(lot)
        spread = self._budget.noise * self._clip
        expected = self._budget.sample_rate * self._budget.users
        for weight, summed in zip(self._weights, total, strict=True):
            drawn = torch.randn(summed.shape, generator=self._noise, device=summed.device)
            weight.grad = (summed + spread * drawn) / expected
        for table in self._padded:
            assert table.weight.grad is not None and table.padding_idx is not None
            table.weight.grad[table.padding_idx] = 0  # or what stands for nothing would be noise
        self._optimizer.step()
        self._average.update()

    def total(self, lot: Iterable[Batch]) -> list[Tensor]:
        """The sum of the users' gradients, none of them longer than the clip."""
        total = [torch.zeros_like(weight) for weight in self._weights]
        for window in lot:
            # What is random in it is the user's own: a number that follows from who else is in
            # the lot would let one user change what the others say.
            loss = self._objective(window, int(self._rng.integers(1 << 62)))
            found = torch.autograd.grad(loss, self._weights, allow_unused=True)
            add_clipped(total, found, self._clip)
            self._loss += 0.001 * (loss.item() - self._loss)
        return total


def add_clipped(total: Sequence[Tensor], found: Sequence[Tensor | None], clip: float) -> None:
    """Add a gradient to a total, shortened where it is longer than the clip."""
    parts = [(place, grad) for place, grad in enumerate(found) if grad is not None]
    length = torch.linalg.vector_norm(torch.stack([grad.norm() for _, grad in parts]))
    if not torch.isfinite(length):
        return  # what has no length cannot be cut short
    share = (clip / length.clamp(min=clip)).item()
    for place, grad in parts:
        total[place].add_(grad, alpha=share)
