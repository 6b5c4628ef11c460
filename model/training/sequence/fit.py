"""The training of the sequence networks: item tables, search, balance and refit."""

from collections.abc import Callable

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from torch import nn

from model.artifact.artifact import ATTRIBUTES
from model.data.attribute_codes import value_names
from model.data.dataset import Histories
from model.features import FIRST_ITEM
from model.networks import network_class
from model.networks.sequence import SequenceModel
from model.training.checkpoint import Checkpoint
from model.training.plan import Plan, Progress
from model.training.registry import Fitted
from model.training.sequence.co_occurrence import Counts, count
from model.training.sequence.copy_correction import CopyCorrection, correct_copy
from model.training.sequence.expert_balance import Balance, fit_balance
from model.training.sequence.item_tables import build_tables
from model.training.sequence.judged import ALL, JUDGING, Judged
from model.training.sequence.objective import Objective
from model.training.sequence.spectral_init import spectral_start
from model.training.sequence.title_vectors import NO_TITLES, TitleVectors, read_title_vectors
from model.training.sequence.trainer import Trainer
from model.training.sequence.validation import predict
from model.training.sequence.warm_start import Names, Older
from model.training.time_limit import TimeLimit
from model.training.training_data import TrainingData
from model.training.windows import Batches

SEARCHING = 0.6  # of the time: the last rounds of the search are wasted, the refit has none
SHORTEST_S = 1e-3
REFIT_SKIPPED = "refit_skipped"  # in the manifest: there was no time to train again
LEAST_REFIT = 0.5  # of the steps that the search found best: with fewer, its own network is better
TRIED = 64  # held-out windows, to time what judging one takes
HELD_OUT_OVERLAP = 0.9  # close to serving, where each event has its own window

Corrections = tuple[Balance, CopyCorrection]  # of a trained network, in this order


def fit(data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> Fitted:
    """See ``registry.Fit``.

    1. Train on the events before the held-out ones, with early stopping on those.
    2. Fit the balance of the experts on the held-out events, then correct copy on them, and
       predict them.
    3. Train again on all events for as many epochs (``plan.refit``).
    """
    run = Run(data, plan, report)
    network, steps, corrections = run.search()
    predictions = predict(
        network, run.held_out, run.judged.evaluated, plan.recipe.seed, run.limit.is_over
    )
    again = run.repeat(steps, corrections) if plan.refit and run.has_time_to_repeat() else None
    network = again or network
    nn.Module.to(network, "cpu")
    files = {ATTRIBUTES: {"values": list(run.values)}}
    skipped = {REFIT_SKIPPED: True} if plan.refit and again is None else {}
    return Fitted(network, predictions, again is not None, files, run.made | skipped)


class Run:
    """One training run: the search for the number of steps, and the refit on all events."""

    def __init__(self, data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> None:
        self.data, self.plan, self.report = data, plan, report
        self.limit = TimeLimit.of(plan.recipe.minutes)
        self.judged, self.counting_s, self.best_s = ALL, 0.0, 0.0
        report(Progress.at("counting", 0.0))
        self.older = Older.open(plan.start) if plan.start else None
        self.titles = read_title_vectors(data, plan, self.limit)
        self.values = value_names(data.catalogue, data.attributes)
        self.share = SEARCHING if plan.refit else 1.0  # of the time, for the search
        self.accelerator = accelerate(plan.device)
        self.learnt = Batches(data.learnt, data.learnt_labels, plan.config)
        self.held_out = Batches(data.whole, data.held_out_labels, plan.config, HELD_OUT_OVERLAP)

    @property
    def made(self) -> dict[str, object]:
        """The manifest's record of the title encoder and the warm start."""
        return self.titles.made | (self.older.made if self.older else {})

    def search(self) -> tuple[SequenceModel, int, Corrections]:
        """Train on all but the held-out events; returns the network, its steps and corrections."""

        def report(progress: Progress) -> None:
            self.report(progress._replace(done=progress.done * self.share))

        objective = self._objective(self.data.learnt)
        self.counting_s = self.limit.spent_s()
        left_s = self.limit.left_s() - (self.counting_s if self.plan.refit else 0)
        plan = self.limit.within(self.plan, "counting", left_s * (self.share - JUDGING))
        self.judged = self._affordable(objective.network, left_s)
        trainer = self._trainer("search", objective, self.learnt, report, plan)
        self.report(Progress.at("training", 0.0))
        steps = trainer.search(self.held_out)
        self.best_s = trainer.seconds_of(steps)
        self.report(Progress.at("judging", self.share))
        fitted_on = (objective.network, self.held_out, self.plan.recipe.seed, self.judged)
        corrections = (fit_balance(*fitted_on), correct_copy(*fitted_on))
        return objective.network, steps, corrections

    def has_time_to_repeat(self) -> bool:
        """Whether the time left is enough to count and to train again."""
        left_s = self.limit.left_s() - self.counting_s - LEAST_REFIT * self.best_s
        return self._greatest(-left_s) <= 0

    def repeat(self, steps: int, corrections: Corrections) -> SequenceModel | None:
        """Train a network on all events for as many epochs as these steps were.

        None if there was no time for ``LEAST_REFIT`` of them.
        """

        def report(progress: Progress) -> None:
            self.report(progress._replace(done=self.share + progress.done * (1 - self.share)))

        self.report(Progress.at("counting", self.share))
        objective = self._objective(self.data.whole)
        batches = Batches(self.data.whole, self.data.whole_labels, self.plan.config)
        tokens = self.plan.recipe.padded_tokens
        times = batches.count(tokens) / max(1, self.learnt.count(tokens))
        plan = self.limit.within(self.plan, "searching", max(self.limit.left_s(), SHORTEST_S))
        trainer = self._trainer("refit", objective, batches, report, plan)
        wanted = round(steps * times)
        self.report(Progress.at("training", self.share))
        if trainer.repeat(wanted) < LEAST_REFIT * wanted:
            return None
        for correction in corrections:
            correction.put(objective.network)
        return objective.network

    def _affordable(self, network: SequenceModel, left_s: float) -> Judged:
        """The held-out windows that there is time to judge; all of them without a limit."""
        if self.limit.minutes is None:
            return ALL
        held_out, seed = self.held_out, self.plan.recipe.seed
        predict(network, held_out, TRIED // 8, seed)  # the first one allocates
        tried = TimeLimit.of(None)
        predict(network, held_out, TRIED, seed)
        there_are = len(held_out.windows.starts)
        window_s = tried.spent_s() / max(1, min(TRIED, there_are))
        return ALL.within(-self._greatest(-left_s), self._greatest(window_s), there_are)

    def _greatest(self, seconds: float) -> float:
        """The greatest of all processes, so that they decide alike."""
        own = torch.tensor([seconds]).to(self.accelerator.device)
        return float(self.accelerator.gather(own).max())

    def _objective(self, histories: Histories) -> Objective:
        items = len(self.data.catalogue)
        together = count(histories, items)
        network = build(self.data, self.plan, together, self.titles)
        start = spectral_start(together[0], self.plan.width, self.plan.recipe.seed)
        if start is not None:
            network.item.weight.data[FIRST_ITEM:] = start
        if self.older:
            self.older.start(network, Names.of(self.data.catalogue, self.values, self.plan.config))
        nn.Module.to(network, self.accelerator.device)
        seen = np.bincount(histories.items[histories.items >= 0], minlength=items)
        return Objective(network, torch.from_numpy(seen), together, self.plan.recipe.weights)

    def _trainer(
        self,
        name: str,
        objective: Objective,
        batches: Batches,
        report: Callable[[Progress], None],
        plan: Plan,
    ) -> Trainer:
        recipe = plan.recipe
        processes = self.accelerator.num_processes
        checkpoint = Checkpoint.of(name, self.data, self.plan, objective.network, processes)
        return Trainer(
            objective,
            batches,
            recipe,
            report,
            self.accelerator,
            recipe.minutes,
            checkpoint,
            self.judged,
        )


def accelerate(device: str) -> Accelerator:
    """Set up one process, or one of several started by ``torchrun`` or ``accelerate launch``."""
    on_gpu = device != "cpu"
    several = DistributedDataParallelKwargs(
        broadcast_buffers=False,  # constant tables as large as the catalogue
        find_unused_parameters=True,  # a batch may have no next item
    )
    precision = "bf16" if on_gpu else "no"
    return Accelerator(cpu=not on_gpu, mixed_precision=precision, kwargs_handlers=[several])


def build(
    data: TrainingData, plan: Plan, together: tuple[Counts, ...], titles: TitleVectors = NO_TITLES
) -> SequenceModel:
    """Build an untrained network with the item tables filled; the same seed gives the same one."""
    torch.manual_seed(plan.recipe.seed)
    network_type = network_class(plan.config.network)
    tables = build_tables(data.catalogue, data.attributes, titles.vectors, together)
    network: SequenceModel = network_type(
        network_type.config_class(
            **data.sizes(plan.config),
            gap_buckets=plan.config.gap_buckets,
            max_length=plan.config.padded_length,
            width=plan.width,
            blocks=plan.blocks,
            dropout=plan.dropout,
            reads=plan.reads,
            text_source=titles.source,
            **tables.sizes,
        )
    )
    tables.put(network, data.catalogue)
    return network
