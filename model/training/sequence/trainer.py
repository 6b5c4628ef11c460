"""The training loop of a sequence network: steps at a constant rate, with early stopping.

The result is a running mean of the weights, which replaces a decaying rate, so the length of the
training need not be known in advance. A step depends only on the seed and its number.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from model.networks.sequence import SequenceModel
from model.training.checkpoint import Checkpoint
from model.training.plan import Progress, Recipe
from model.training.results import Validation
from model.training.sequence.expert_balance import balanced, likeliest
from model.training.sequence.judged import ALL, Judged
from model.training.sequence.objective import Objective
from model.training.sequence.validation import validate
from model.training.sequence.weight_average import Average
from model.training.windows import Batch, Batches

REPORT_STEPS = 20


class Best(NamedTuple):
    """The best round so far."""

    validation: Validation
    step: int
    means: dict[str, Tensor]


class Trainer:
    """Trains an objective's network in place, on the device that the accelerator chose."""

    def __init__(
        self,
        objective: Objective,
        batches: Batches,
        recipe: Recipe,
        report: Callable[[Progress], None],
        accelerator: Accelerator,
        minutes: float | None = None,
        checkpoint: Checkpoint | None = None,
        judged: Judged = ALL,
    ) -> None:
        """Resume from the checkpoint if there is one; stop when the minutes are over."""
        self._network = objective.network
        self._batches, self._recipe, self._report = batches, recipe, report
        self._accelerator, self._checkpoint, self._minutes = accelerator, checkpoint, minutes
        self._judged = judged
        optimizer = optimizer_of(self._network, recipe)
        self._rates = [group["lr"] for group in optimizer.param_groups]
        self._objective, self._optimizer = accelerator.prepare(objective, optimizer)
        self._average = Average(self._network, recipe.average_decay)
        self._world = accelerator.num_processes
        self._epoch_steps = max(1, batches.count(recipe.padded_tokens) // self._world)
        least, most = recipe.round_steps
        self._round_steps = min(max(self._epoch_steps, least), most)
        self._most_steps = recipe.epochs * self._epoch_steps
        self._step, self._since, self._loss, self._spent_s = 0, 0, 0.0, 0.0
        self._stepping_s = 0.0
        self._best: Best | None = None
        if checkpoint and (state := checkpoint.load()):
            self._load(state)
        self._started_s = time.monotonic() - self._spent_s

    def search(self, held_out: Batches) -> int:
        """Train until validation stops improving; leave the best averaged weights.

        Returns the steps that these took, so that a refit on more data can use them.
        """
        while self._since < self._recipe.patience and not self._over(self._most_steps):
            self._round(self._most_steps)
            self._validate(held_out)
            self._keep()
        if self._best is None:
            self._validate(held_out)
        assert self._best is not None, "it was validated"
        _put(self._network, self._best.means)
        return self._best.step

    def seconds_of(self, steps: int) -> float:
        """How long this many of the steps so far took, without the validation between them."""
        return self._stepping_s * steps / max(1, self._step)

    def repeat(self, steps: int) -> int:
        """Train for this number of steps without validation; leave the averaged weights.

        Returns the steps that there was time for.
        """
        self._most_steps = steps
        while not self._over(steps):
            self._round(steps)
            self._keep()
        _put(self._network, self._average.means)
        return self._step

    def _over(self, end: int) -> bool:
        return self._step >= end or self._spent() >= 1

    def _round(self, end: int) -> None:
        started_s = time.monotonic()
        self._objective.train()
        end = min(self._step + self._round_steps, end)
        while not self._over(end):
            self._update()
            if self._step % REPORT_STEPS == 0:
                self._report(self._progress(None))
        self._stepping_s += time.monotonic() - started_s

    def _update(self) -> None:
        warm = min(1.0, (self._step + 1) / self._recipe.warm_up_steps)
        for group, full in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = full * warm
        torch.manual_seed(self._number())  # dropout has no generator of its own
        self._optimizer.zero_grad(set_to_none=True)
        with self._accelerator.autocast():
            loss = self._objective(self._batch(), self._number())
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self._network.parameters(), self._recipe.clip_norm)
        self._optimizer.step()
        self._average.update()
        self._loss = loss.item() if self._step == 0 else 0.98 * self._loss + 0.02 * loss.item()
        self._step += 1

    def _number(self) -> int:
        """A number that is unique to this step and this process."""
        index = self._step * self._world + self._accelerator.process_index
        number: int = (self._recipe.seed << 40) + index
        return number

    def _batch(self) -> Batch:
        epoch, step = divmod(self._step, self._epoch_steps)
        index = step * self._world + self._accelerator.process_index
        return self._batches.batch(self._recipe.padded_tokens, (self._recipe.seed, epoch), index)

    def _validate(self, held_out: Batches) -> None:
        """Validate the averaged weights with balanced experts, and keep the best round.

        Without the balance, training would stop as soon as the network is overconfident, which
        the balance corrects.
        """
        seed = self._recipe.seed
        with self._average.in_place():
            balance = likeliest(self._network, held_out, seed, self._judged.weighed)
            with balanced(self._network, balance):
                found = validate(self._network, held_out, seed, self._judged.compared)
        self._report(self._progress(found))
        self._since += 1
        best = -1.0 if self._best is None else self._best.validation.total
        if found.total > best * (1 + self._recipe.least_gain):
            means = {name: mean.clone() for name, mean in self._average.means.items()}
            self._best = Best(found, self._step, means)
            self._since = 0

    def _spent(self) -> float:
        """The share of the minutes that is over, 0 without a limit; the same in all processes."""
        if self._minutes is None:
            return 0.0
        share = torch.tensor([(time.monotonic() - self._started_s) / 60 / self._minutes])
        return float(self._accelerator.gather(share.to(self._accelerator.device)).max())

    def _progress(self, validation: Validation | None) -> Progress:
        done = min(1.0, max(self._step / max(1, self._most_steps), self._spent()))
        return Progress(self._step / self._epoch_steps, done, self._loss, validation)

    def _keep(self) -> None:
        if self._checkpoint is None or not self._accelerator.is_main_process:
            return
        best = self._best
        self._checkpoint.save(
            {
                "numbers": [
                    self._step,
                    self._since,
                    self._loss,
                    time.monotonic() - self._started_s,
                ],
                "best": best and [tuple(best.validation), *best[1:]],
                "weights": self._average.weights(),
                "average": self._average.state(),
                "optimizer": self._optimizer.state_dict(),
            }
        )

    def _load(self, state: dict[str, Any]) -> None:
        self._step, self._since, self._loss, self._spent_s = state["numbers"]
        if state["best"]:
            validation, *rest = state["best"]
            self._best = Best(Validation(*validation), *rest)
        self._average.load(state["weights"], state["average"])
        self._optimizer.load_state_dict(state["optimizer"])


def _put(network: nn.Module, weights: dict[str, Tensor]) -> None:
    network.load_state_dict(weights, strict=False)  # without the constant tables
    network.train(False)


def optimizer_of(network: SequenceModel, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW with a higher rate for embedding tables, and weight decay for other matrices only."""
    tables = [module.weight for module in network.modules() if isinstance(module, nn.Embedding)]
    others = [p for p in network.parameters() if all(p is not table for table in tables)]
    fast, slow = recipe.learning_rate * recipe.embedding_rate, recipe.learning_rate
    groups = [
        {"params": tables, "lr": fast, "weight_decay": 0.0},
        {"params": [p for p in others if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in others if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=slow, fused=True)
