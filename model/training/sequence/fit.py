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
from model.training.sequence.expert_balance import Balance, fit_balance
from model.training.sequence.item_tables import build_tables
from model.training.sequence.objective import Objective
from model.training.sequence.spectral_init import spectral_start
from model.training.sequence.title_vectors import NO_TITLES, TitleVectors, read_title_vectors
from model.training.sequence.trainer import Trainer
from model.training.sequence.validation import predict
from model.training.sequence.warm_start import Names, Older
from model.training.training_data import TrainingData
from model.training.windows import Batches

EVALUATED_WINDOWS = 50_000  # held-out ones, for calibration and the reported figures
SEARCHING = 0.6  # of the time: the last rounds of the search are wasted, the refit has none
HELD_OUT_OVERLAP = 0.9  # close to serving, where each event has its own window


def fit(data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> Fitted:
    """See ``registry.Fit``.

    1. Train on the events before the held-out ones, with early stopping on those.
    2. Fit the balance of the experts on the held-out events, and predict them.
    3. Train again on all events for as many epochs (``plan.refit``).
    """
    run = Run(data, plan, report)
    network, steps, balance = run.search()
    predictions = predict(network, run.held_out, EVALUATED_WINDOWS, plan.recipe.seed)
    if plan.refit:
        network = run.repeat(steps, balance)
    nn.Module.to(network, "cpu")
    files = {ATTRIBUTES: {"values": list(run.values)}}
    return Fitted(network, predictions, plan.refit, files, run.made)


class Run:
    """One training run: the search for the number of steps, and the refit on all events."""

    def __init__(self, data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> None:
        self.data, self.plan, self.report = data, plan, report
        self.older = Older.open(plan.start) if plan.start else None
        self.titles = read_title_vectors(data, plan)
        self.values = value_names(data.catalogue, data.attributes)
        self.share = SEARCHING if plan.refit else 1.0  # of the time, for the search
        self.accelerator = accelerate(plan.device)
        self.learnt = Batches(data.learnt, data.learnt_labels, plan.config)
        self.held_out = Batches(data.whole, data.held_out_labels, plan.config, HELD_OUT_OVERLAP)

    @property
    def made(self) -> dict[str, object]:
        """The manifest's record of the title encoder and the warm start."""
        return self.titles.made | (self.older.made if self.older else {})

    def search(self) -> tuple[SequenceModel, int, Balance]:
        """Train on all but the held-out events; returns the network, its steps and balance."""

        def report(progress: Progress) -> None:
            self.report(progress._replace(done=progress.done * self.share))

        objective = self._objective(self.data.learnt)
        trainer = self._trainer("search", objective, self.learnt, report, self.share)
        steps = trainer.search(self.held_out)
        balance = fit_balance(objective.network, self.held_out, self.plan.recipe.seed)
        return objective.network, steps, balance

    def repeat(self, steps: int, balance: Balance) -> SequenceModel:
        """Train a network on all events for as many epochs as these steps were."""

        def report(progress: Progress) -> None:
            self.report(progress._replace(done=self.share + progress.done * (1 - self.share)))

        objective = self._objective(self.data.whole)
        batches = Batches(self.data.whole, self.data.whole_labels, self.plan.config)
        tokens = self.plan.recipe.padded_tokens
        times = batches.count(tokens) / max(1, self.learnt.count(tokens))
        trainer = self._trainer("refit", objective, batches, report, 1 - self.share)
        trainer.repeat(round(steps * times))
        balance.put(objective.network)
        return objective.network

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
        share: float,
    ) -> Trainer:
        recipe = self.plan.recipe
        minutes = recipe.minutes and recipe.minutes * share
        processes = self.accelerator.num_processes
        checkpoint = Checkpoint.of(name, self.data, self.plan, objective.network, processes)
        return Trainer(objective, batches, recipe, report, self.accelerator, minutes, checkpoint)


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
