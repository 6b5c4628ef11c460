"""The training of a sequence network: steps at a full rate, until nothing improves any more.

The weights that count are a running mean, which stands in for a rate that falls: so nobody has to
say beforehand for how long a log must be learnt from. What a step does follows from the seed and
its number alone.
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
from model.training.sequence.expert_balance import ROUND_WINDOWS, balanced, likeliest
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
    ) -> None:
        """Go on where the checkpoint says, if it is there; end when the minutes are over."""
        self._network = objective.network
        self._batches, self._recipe, self._report = batches, recipe, report
        self._accelerator, self._checkpoint, self._minutes = accelerator, checkpoint, minutes
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
        self._best: Best | None = None
        if checkpoint and (state := checkpoint.load()):
            self._load(state)
        self._started_s = time.monotonic() - self._spent_s

    def search(self, held_out: Batches) -> int:
        """Train until no round has been better for a while; leaves the best averaged weights.

        Returns how many steps these took, so that the same can be done with more data.
        """
        while self._since < self._recipe.patience and not self._over(self._most_steps):
            self._round(self._most_steps)
            self._judge(held_out)
            self._keep()
        if self._best is None:
            self._judge(held_out)
        assert self._best is not None, "it was judged"
        _put(self._network, self._best.means)
        return self._best.step

    def repeat(self, steps: int) -> None:
        """Train for so many steps, unjudged; leaves the averaged weights."""
        self._most_steps = steps
        while not self._over(steps):
            self._round(steps)
            self._keep()
        _put(self._network, self._average.means)

    def _over(self, end: int) -> bool:
        return self._step >= end or self._spent() >= 1

    def _round(self, end: int) -> None:
        self._objective.train()
        end = min(self._step + self._round_steps, end)
        while not self._over(end):
            self._update()
            if self._step % REPORT_STEPS == 0:
                self._report(self._progress(None))

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
        """A number of this step's, and of this process's, own."""
        place = self._step * self._world + self._accelerator.process_index
        number: int = (self._recipe.seed << 40) + place
        return number

    def _batch(self) -> Batch:
        epoch, place = divmod(self._step, self._epoch_steps)
        place = place * self._world + self._accelerator.process_index
        return self._batches.batch(self._recipe.padded_tokens, (self._recipe.seed, epoch), place)

    def _judge(self, held_out: Batches) -> None:
        """See whether this round is the best so far, once its experts are in balance.

        Without that, a network would be stopped for being sure of itself, which is soon mended.
        """
        seed = self._recipe.seed
        with self._average.in_place():
            balance = likeliest(self._network, held_out, seed, ROUND_WINDOWS)
            with balanced(self._network, balance):
                found = validate(self._network, held_out, seed)
        self._report(self._progress(found))
        self._since += 1
        best = -1.0 if self._best is None else self._best.validation.total
        if found.total > best * (1 + self._recipe.least_gain):
            means = {name: mean.clone() for name, mean in self._average.means.items()}
            self._best = Best(found, self._step, means)
            self._since = 0

    def _spent(self) -> float:
        """The share of the minutes that is over, 0 if nobody set any; all processes agree."""
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
    network.load_state_dict(weights, strict=False)  # the tables that never change are not there
    network.train(False)


def optimizer_of(network: SequenceModel, recipe: Recipe) -> torch.optim.Optimizer:
    """Tables of vectors learn faster and never decay; nor does what is not a matrix."""
    tables = [module.weight for module in network.modules() if isinstance(module, nn.Embedding)]
    others = [p for p in network.parameters() if all(p is not table for table in tables)]
    fast, slow = recipe.learning_rate * recipe.embedding_rate, recipe.learning_rate
    groups = [
        {"params": tables, "lr": fast, "weight_decay": 0.0},
        {"params": [p for p in others if p.dim() > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in others if p.dim() <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=slow, fused=True)
