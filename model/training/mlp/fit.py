"""The training of the click-through network: each event against items that it might have been.

Noise-contrastive estimation (Gutmann and Hyvärinen, "Noise-Contrastive Estimation of Unnormalized
Statistical Models", JMLR 2012): a binary cross-entropy over the item acted on next and drawn ones,
whose logits are ``s − log m``, m how often the draw is expected to bring that item. So s is the
log of the chance itself, whatever was drawn.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.baselines.rules import STEPS
from model.data.co_occurrence import co_occurrences
from model.data.dataset import NO_NEXT
from model.features import FIRST_ITEM, Padded
from model.graphs.mlp import MlpGraph
from model.networks.candidates import NOBODY, nearest
from model.networks.mlp import MlpConfig, MlpModel
from model.training.checkpoint import Checkpoint
from model.training.epochs import Epochs
from model.training.losses import COUNT_POWER, intent_loss
from model.training.plan import Plan, Progress
from model.training.prediction import eval_mode, predict_events, tensors
from model.training.registry import Fitted
from model.training.results import Predictions, Validation
from model.training.sampling import sample, useful
from model.training.training_data import TrainingData
from model.training.windows import windows_until

Ints = npt.NDArray[np.int64]

BATCH = 256  # events
EPOCHS = 6  # at most: the rate has fallen to nothing by then
EPOCH_EVENTS = 100_000  # at most, newly drawn for each epoch
LEAST_EVENTS = 12_800  # and at least: a short log is gone through several times
LIKELY = 8  # drawn of what the network would be served with
ANY = 3  # drawn of the whole catalogue, by count^¾
VALIDATION_EVENTS = 2_000
JUDGED_EVENTS = 10_000
JUDGED_AT_ONCE = 64


class Draw(NamedTuple):
    """What B events are scored against: the item acted on next first, then the drawn ones."""

    codes: Tensor  # (B, 1 + K) item codes, NOBODY where nothing was drawn
    log_expected: Tensor  # (B, 1 + K) log m


def fit(data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> Fitted:
    """See ``registry.Fit``."""
    network = build(data, plan)
    nn.Module.to(network, plan.device)
    _Training(network, data, plan, report).run()
    nn.Module.to(network, "cpu")
    nn.Module.eval(network)
    events = useful(data.held_out_labels)
    predictions = predict(network, data, plan, sample(events, JUDGED_EVENTS, plan.recipe.seed))
    return Fitted(network, predictions)


def build(data: TrainingData, plan: Plan) -> MlpModel:
    """A fresh network, the same for a seed, that knows what goes with what."""
    torch.manual_seed(plan.recipe.seed)
    catalogue, config = data.catalogue, plan.config
    network = MlpModel(
        MlpConfig(
            **data.sizes(config),
            gap_buckets=config.gap_buckets,
            max_length=config.padded_length,
            width=plan.width,
            dropout=plan.dropout,
        )
    )
    counts = co_occurrences(data.learnt, len(catalogue), STEPS)
    neighbours = nearest(counts, network.config.neighbours)
    categories = torch.from_numpy(catalogue.item_categories)
    network.set_items(categories, data.counts, neighbours)
    return network


class Draws:
    """Draws items to tell from the right one: most of the likely ones, some of all."""

    def __init__(self, network: MlpModel, counts: npt.NDArray[np.int64]) -> None:
        self._network = network
        powered = torch.from_numpy(counts + 1.0).to(network.device).pow(COUNT_POWER)
        self._share = (powered / powered.sum()).float()  # (V,)

    @torch.no_grad()
    def draw(self, items: Tensor, lengths: Tensor, targets: Tensor) -> Draw:
        """For windows (B, L) and the item codes acted on next (B,)."""
        likely = self._network.propose(items, lengths)  # (B, N)
        dice = torch.rand(likely.shape, device=items.device).masked_fill(likely < FIRST_ITEM, -1.0)
        drawn = likely.gather(1, dice.topk(LIKELY, dim=1).indices)
        others = torch.multinomial(self._share, len(items) * ANY, replacement=True)
        others = others.view(len(items), ANY) + FIRST_ITEM
        codes = torch.cat([targets[:, None], drawn, others], dim=1)
        codes = codes.masked_fill(codes < FIRST_ITEM, NOBODY)
        # An item that is proposed twice is drawn twice as often.
        times = (codes[:, :, None] == likely[:, None, :]).sum(dim=2)
        proposed = (likely >= FIRST_ITEM).sum(dim=1, keepdim=True)
        per_place = LIKELY / proposed.clamp(min=LIKELY)  # (B, 1)
        share = functional.pad(self._share, (FIRST_ITEM, 0), value=1.0)[codes]
        return Draw(codes, torch.log(ANY * share + per_place * times))


class _Training(Epochs):
    network: MlpModel

    def __init__(
        self, network: MlpModel, data: TrainingData, plan: Plan, report: Callable[[Progress], None]
    ) -> None:
        recipe = plan.recipe
        events = np.flatnonzero(data.learnt_labels.next_items >= 0)
        if len(events):
            events = np.tile(events, -(-LEAST_EVENTS // len(events)))
        rate, decay = recipe.learning_rate, recipe.weight_decay
        super().__init__(
            network,
            torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay),
            recipe,
            report,
            events=events,
            batch=BATCH,
            epoch_events=EPOCH_EVENTS,
            most_epochs=EPOCHS,
            checkpoint=Checkpoint.of(plan.checkpoints, plan.config.network, data.fingerprint),
        )
        self.data, self.plan = data, plan
        self.held_out = np.flatnonzero(data.held_out_labels.next_items != NO_NEXT)
        self.draws = Draws(network, data.counts)
        self.intents = _intent_columns(plan)

    def rate(self, done: float) -> float:
        """Linear warm-up, then half a cosine down to nothing."""
        warm = min(1.0, (self.step + 1) / min(self.recipe.warm_up_steps, 1 + self.steps // 10))
        return warm * 0.5 * (1 + math.cos(math.pi * done))

    def cost(self, events: Ints) -> Tensor:
        """The loss of a batch: the heads against what was drawn, and the intents."""
        events = np.sort(events)
        learnt, labels, device = self.data.learnt, self.data.learnt_labels, self.network.device
        windows = tensors(windows_until(learnt, events, self.plan.config), device)
        targets = torch.from_numpy(labels.next_items[events].astype(np.int64)).to(device)
        drawn = self.draws.draw(windows[0], windows[3], targets + FIRST_ITEM)
        log_chances, intents = self.network(*windows, drawn.codes)
        actions = torch.from_numpy(learnt.actions[events + 1].astype(np.int64)).to(device)
        loss = contrast(log_chances, drawn, actions, self.intents.to(device))
        happened = torch.from_numpy(labels.intents[events]).to(device)
        return loss + self.recipe.weights.intent * intent_loss(intents, happened)

    def validate(self) -> Validation:
        """How well a sample of the held-out events is predicted."""
        events = sample(self.held_out, VALIDATION_EVENTS, self.recipe.seed)
        ranks = predict(self.network, self.data, self.plan, events).ranks
        return Validation.of(ranks)


def contrast(log_chances: Tensor, drawn: Draw, actions: Tensor, intents: Tensor) -> Tensor:
    """``−log σ(s₀ − log m₀) − Σ log σ(log m − s)``, the mean over events, summed over the heads.

    ``log_chances`` (B, 1 + K, 1 + A) are s, the right item in column 0. Head 0 takes it for right
    whatever was done, head a only if that was action ``intents[a]``, (A,) of ``actions`` (B,).
    """
    logits = log_chances - drawn.log_expected[..., None]
    right = torch.zeros_like(logits)
    right[:, 0, 0] = 1.0
    right[:, 0, 1:] = (actions[:, None] == intents).to(right.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
    return losses.masked_fill((drawn.codes == NOBODY)[..., None], 0.0).sum(dim=(1, 2)).mean()


def predict(network: MlpModel, data: TrainingData, plan: Plan, events: Ints) -> Predictions:
    """What is served after these events of the whole log, and what happened."""

    def answer(windows: Padded, targets: Tensor) -> tuple[Tensor, Tensor]:
        codes, shares, intents, _ = graph.share(*tensors(windows, network.device))
        return _ranks(codes, shares, targets.to(codes.device), network.config.items), intents

    with eval_mode(network):
        graph = MlpGraph(network, plan.config)
        nn.Module.to(graph, network.device)
        return predict_events(data, plan.config, events, JUDGED_AT_ONCE, answer)


def _ranks(codes: Tensor, shares: Tensor, targets: Tensor, items: int) -> Tensor:
    """The rank of each target (B,) among the candidates (B, N), the last among equals.

    What is no candidate has no chance, like most of the catalogue: it stands last. 0 if unknown.
    """
    is_target = codes == (targets + FIRST_ITEM)[:, None]
    ours = (shares * is_target).sum(dim=1, keepdim=True)
    ranks = ((shares >= ours) & (codes != NOBODY)).sum(dim=1)
    ranks = torch.where(is_target.any(dim=1), ranks, items)
    return ranks.masked_fill(targets < 0, 0)


def _intent_columns(plan: Plan) -> Tensor:
    """(A,) the place of each intent's action among the actions."""
    places = [plan.config.actions.index(name) for name in plan.config.intents]
    return torch.tensor(places, dtype=torch.int64)
