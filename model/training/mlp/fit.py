"""The training of the click-through network: the next item against sampled negatives.

Noise-contrastive estimation (Gutmann and Hyvärinen, "Noise-Contrastive Estimation of Unnormalized
Statistical Models", JMLR 2012): a binary cross-entropy over the next item and the negatives, with
logits ``s − log m``, where m is the expected number of times that the item is drawn. So s is the
log probability itself, whatever the sampling distribution.
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
from model.config import ArtifactConfig
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
from model.training.time_limit import TimeLimit
from model.training.training_data import TrainingData
from model.training.windows import windows_until

Ints = npt.NDArray[np.int64]

TRAINING = 0.8  # of the time that is left after building; judging takes the rest
BATCH = 256  # events
EPOCHS = 6  # at most: the rate decays to 0 over them
EPOCH_EVENTS = 100_000  # at most, sampled anew for each epoch
LEAST_EVENTS = 12_800  # at least: the events of a short log are repeated
LIKELY = 8  # negatives drawn from the candidates that serving would score
ANY = 3  # negatives drawn from the whole catalogue, by count^¾
VALIDATION_EVENTS = 2_000
EVALUATED_EVENTS = 10_000
EVALUATED_AT_ONCE = 64


class Draw(NamedTuple):
    """The items scored for B events: the next item first, then the negatives."""

    codes: Tensor  # (B, 1 + K) item codes, NOBODY where nothing was drawn
    log_expected: Tensor  # (B, 1 + K) log m


def fit(data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> Fitted:
    """See ``registry.Fit``."""
    limit = TimeLimit.of(plan.recipe.minutes)
    report(Progress.at("counting", 0.0))
    network = build(data, plan)
    nn.Module.to(network, plan.device)
    limited = limit.within(plan, "building the network", limit.left_s() * TRAINING)
    _Training(network, data, limited, report).run()
    report(Progress.at("judging", 1.0))
    nn.Module.to(network, "cpu")
    nn.Module.eval(network)
    events = useful(data.held_out_labels)
    events = sample(events, EVALUATED_EVENTS, plan.recipe.seed)
    return Fitted(network, predict(network, data, plan, events, limit.is_over))


def build(data: TrainingData, plan: Plan) -> MlpModel:
    """Build an untrained network with its item tables; the same seed gives the same network."""
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
    """Draws negatives: most from the likely candidates, some from the whole catalogue."""

    def __init__(self, network: MlpModel, counts: npt.NDArray[np.int64]) -> None:
        self._network = network
        powered = torch.from_numpy(counts + 1.0).to(network.device).pow(COUNT_POWER)
        self._share = (powered / powered.sum()).float()  # (V,)

    @torch.no_grad()
    def draw(self, items: Tensor, lengths: Tensor, targets: Tensor) -> Draw:
        """Draw negatives for windows (B, L) and the codes of the next items (B,)."""
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
        rate = LIKELY / proposed.clamp(min=LIKELY)  # (B, 1) of one proposal
        share = functional.pad(self._share, (FIRST_ITEM, 0), value=1.0)[codes]
        return Draw(codes, torch.log(ANY * share + rate * times))


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
            checkpoint=Checkpoint.of(plan.config.network, data, plan, network),
        )
        self.data, self.plan = data, plan
        self.held_out = np.flatnonzero(data.held_out_labels.next_items != NO_NEXT)
        self.draws = Draws(network, data.counts)
        self.counted = counted(plan.config)

    def rate(self, done: float) -> float:
        """Linear warm-up, then cosine decay to 0."""
        warm = min(1.0, (self.step + 1) / min(self.recipe.warm_up_steps, 1 + self.steps // 10))
        return warm * 0.5 * (1 + math.cos(math.pi * done))

    def cost(self, events: Ints) -> Tensor:
        """The loss of a batch: the contrastive loss of the heads, and that of the intents."""
        events = np.sort(events)
        learnt, labels, device = self.data.learnt, self.data.learnt_labels, self.network.device
        windows = tensors(windows_until(learnt, events, self.plan.config), device)
        targets = torch.from_numpy(labels.next_items[events].astype(np.int64)).to(device)
        drawn = self.draws.draw(windows[0], windows[3], targets + FIRST_ITEM)
        log_chances, intents = self.network(*windows, drawn.codes)
        actions = torch.from_numpy(learnt.actions[events + 1].astype(np.int64)).to(device)
        loss = contrast(log_chances, drawn, self.counted.to(device)[actions])
        happened = torch.from_numpy(labels.intents[events]).to(device)
        return loss + self.recipe.weights.intent * intent_loss(intents, happened)

    def validate(self) -> Validation:
        """Evaluate the predictions for a sample of the held-out events."""
        events = sample(self.held_out, VALIDATION_EVENTS, self.recipe.seed)
        ranks = predict(self.network, self.data, self.plan, events).ranks
        return Validation.of(ranks)


def contrast(log_chances: Tensor, drawn: Draw, happened: Tensor) -> Tensor:
    """``−log σ(s₀ − log m₀) − Σ log σ(log m − s)``, the mean over events, summed over the heads.

    ``log_chances`` (B, 1 + K, 1 + A) are s, with the next item in column 0. That item is positive
    in head 0, and in head 1 + a only if its action is one that intent a counts (``happened``,
    (B, A)).
    """
    logits = log_chances - drawn.log_expected[..., None]
    right = torch.zeros_like(logits)
    right[:, 0, 0] = 1.0
    right[:, 0, 1:] = happened.to(right.dtype)
    losses = functional.binary_cross_entropy_with_logits(logits, right, reduction="none")
    return losses.masked_fill((drawn.codes == NOBODY)[..., None], 0.0).sum(dim=(1, 2)).mean()


def predict(
    network: MlpModel,
    data: TrainingData,
    plan: Plan,
    events: Ints,
    is_over: Callable[[], bool] = lambda: False,
) -> Predictions:
    """Predict what is served after these events of the whole log, with their labels.

    The rest is left out once ``is_over``.
    """

    def answer(windows: Padded, targets: Tensor) -> tuple[Tensor, Tensor]:
        codes, shares, intents, _ = graph.share(*tensors(windows, network.device))
        return _ranks(codes, shares, targets.to(codes.device), network.config.items), intents

    with eval_mode(network):
        graph = MlpGraph(network, plan.config)
        nn.Module.to(graph, network.device)
        return predict_events(data, plan.config, events, EVALUATED_AT_ONCE, answer, is_over)


def _ranks(codes: Tensor, shares: Tensor, targets: Tensor, items: int) -> Tensor:
    """The rank of each target (B,) among the candidates (B, N), the last among equals.

    A target that is no candidate has probability 0, like most of the catalogue, and ranks last.
    An unknown target has rank 0.
    """
    is_target = codes == (targets + FIRST_ITEM)[:, None]
    share = (shares * is_target).sum(dim=1, keepdim=True)
    ranks = ((shares >= share) & (codes != NOBODY)).sum(dim=1)
    ranks = torch.where(is_target.any(dim=1), ranks, items)
    return ranks.masked_fill(targets < 0, 0)


def counted(config: ArtifactConfig) -> Tensor:
    """Whether each intent counts each action, (actions, A)."""
    table = torch.zeros(len(config.actions), len(config.intents), dtype=torch.bool)
    for column, codes in enumerate(config.counted_codes):
        table[list(codes), column] = True
    return table
