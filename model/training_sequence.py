"""The training of the sequence networks: a fresh network, the held-out windows, the loop."""

from collections.abc import Callable

import torch
from torch import nn

from model.catalogue import Catalogue
from model.fitting import Fitted
from model.networks.transformer import TransformerConfig, TransformerModel
from model.training import Progress, predict, train
from model.training_run import Parts, Plan
from model.windows import Batches

JUDGED_WINDOWS = 50_000  # of the held-out ones, to calibrate on and to report
HELD_OUT_OVERLAP = 0.9  # so that it is looked at nearly as when it is served


def fit(parts: Parts, plan: Plan, report: Callable[[Progress], None]) -> Fitted:
    """See ``fitting.Fit``."""
    model = build(parts.catalogue, plan)
    held_out = Batches(parts.whole, parts.held_out_labels, plan.config, HELD_OUT_OVERLAP)
    batches = Batches(parts.learnt, parts.learnt_labels, plan.config)
    nn.Module.to(model, plan.device)
    train(model, batches, held_out, parts.counts, plan.recipe, report)
    said = predict(model, held_out, JUDGED_WINDOWS, plan.recipe.seed)
    nn.Module.to(model, "cpu")
    return Fitted(model, said)


def build(catalogue: Catalogue, plan: Plan) -> TransformerModel:
    """A fresh network for a catalogue, the same for a seed."""
    torch.manual_seed(plan.recipe.seed)
    config = TransformerConfig(
        items=len(catalogue),
        categories=len(catalogue.categories),
        actions=len(plan.config.actions),
        gap_buckets=plan.config.gap_buckets,
        intents=len(plan.config.intents),
        max_length=plan.config.padded_length,
        width=plan.width,
        heads=plan.heads,
        blocks=plan.blocks,
        dropout=plan.dropout,
    )
    model = TransformerModel(config)
    model.set_item_categories(torch.from_numpy(catalogue.item_categories))
    return model
