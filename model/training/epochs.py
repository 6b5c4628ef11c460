"""The epoch loop: passes over sampled events at a decaying rate, with early stopping.

It trains networks on single events. The sequence networks train on whole windows at a constant
rate, see ``model.training.sequence.trainer``.
"""

import time
from abc import abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.training.checkpoint import Checkpoint
from model.training.plan import Progress, Recipe
from model.training.results import Validation
from model.training.sampling import batches

Ints = npt.NDArray[np.int64]


class _At(NamedTuple):
    """The state of a run: epochs done, epochs since the best one, and that one's weights."""

    epoch: int
    since: int
    best: Validation
    weights: dict[str, Tensor]


class Epochs:
    """Trains a network in place; a subclass defines the loss, the rate and the validation."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        recipe: Recipe,
        report: Callable[[Progress], None],
        *,
        events: Ints,
        batch: int,
        epoch_events: int,
        most_epochs: int,
        checkpoint: Checkpoint | None,
    ) -> None:
        """Sample at most ``epoch_events`` of the events for each epoch."""
        self.network, self.optimizer, self.recipe, self.report = network, optimizer, recipe, report
        self._events, self._batch, self._epoch_events = events, batch, epoch_events
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._epochs = min(recipe.epochs, most_epochs)
        self.steps = self._epochs * -(-min(len(events), epoch_events) // batch)
        self.step, self._loss = 0, 0.0
        self._checkpoint = checkpoint
        self._started_s = time.monotonic()

    @abstractmethod
    def cost(self, events: Ints) -> Tensor:
        """The loss of a batch."""

    @abstractmethod
    def rate(self, done: float) -> float:
        """The factor on the learning rate once this share of the training is done, 0 to 1."""

    @abstractmethod
    def validate(self) -> Validation:
        """Evaluate the current weights on held-out events."""

    def run(self) -> None:
        """Train; leave the weights of the epoch that was best on held-out events.

        Resumes from the checkpoint if there is one.
        """
        at = self._resumed() or _At(0, 0, Validation(-1.0, -1.0), self._weights())
        while at.epoch < self._epochs and at.since < self.recipe.patience and self._done() < 1:
            epoch = at.epoch + 1
            self._pass(epoch)
            found = self.validate()
            better = found > at.best
            at = _At(
                epoch,
                0 if better else at.since + 1,
                found if better else at.best,
                self._weights() if better else at.weights,
            )
            self._keep(at)
            self.report(Progress(epoch, self._done(), self._loss, found))
        self.network.load_state_dict(at.weights, strict=False)

    def _keep(self, at: "_At") -> None:
        if self._checkpoint is not None:
            spent_s = time.monotonic() - self._started_s
            self._checkpoint.save(
                {
                    "numbers": [at.epoch, at.since, self.step, self._loss, spent_s],
                    "best": [tuple(at.best), at.weights],
                    "weights": self._weights(),
                    "optimizer": self.optimizer.state_dict(),
                }
            )

    def _resumed(self) -> "_At | None":
        state = self._checkpoint and self._checkpoint.load()
        if not state:
            return None
        epoch, since, self.step, self._loss, spent_s = state["numbers"]
        self._started_s -= spent_s
        self.network.load_state_dict(state["weights"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        best, weights = state["best"]
        return _At(epoch, since, Validation(*best), weights)

    def _weights(self) -> dict[str, Tensor]:
        """A copy of the trainable parameters."""
        named = self.network.named_parameters()
        return {name: p.detach().clone() for name, p in named if p.requires_grad}

    def _pass(self, epoch: int) -> None:
        # Seeded by epoch, so that a resumed run samples the same events.
        rng = np.random.default_rng([self.recipe.seed, epoch])
        torch.manual_seed(int(rng.integers(1 << 62)))
        self.network.train()
        for events in batches(rng.permutation(self._events)[: self._epoch_events], self._batch):
            if self._done() >= 1:
                return
            self._update(self.cost(events))
            self.report(Progress(epoch, self._done(), self._loss, None))

    def _update(self, loss: Tensor) -> None:
        share = self.rate(min(1.0, self._done()))
        for group, full in zip(self.optimizer.param_groups, self._rates, strict=True):
            group["lr"] = full * share
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.step += 1
        self._loss = loss.item() if self.step == 1 else 0.98 * self._loss + 0.02 * loss.item()

    def _done(self) -> float:
        by_steps = self.step / self.steps
        if self.recipe.minutes is None:
            return by_steps
        return max(by_steps, (time.monotonic() - self._started_s) / 60 / self.recipe.minutes)
