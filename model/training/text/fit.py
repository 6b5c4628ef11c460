"""The training of the text network: fine-tunes a pretrained encoder to predict the next action.

There are three ways. ``top`` trains the last layer and the heads, ``all`` every layer, ``lora`` a
low-rank update of each large matrix (Hu et al., "LoRA", ICLR 2022), merged before saving.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.data.dataset import NO_NEXT, Labels
from model.errors import DataError
from model.features import FIRST_ITEM, Padded
from model.networks.text import Last, TextModel
from model.networks.text_encoder import TextEncoder
from model.training.checkpoint import Checkpoint
from model.training.epochs import Epochs
from model.training.losses import Negatives, category_loss, intent_loss, next_item_loss
from model.training.plan import Plan, Progress
from model.training.prediction import eval_mode, predict_events, ranks_of, tensors
from model.training.registry import Fitted
from model.training.results import Predictions, Validation
from model.training.sampling import sample, useful
from model.training.text.build import build
from model.training.time_limit import TimeLimit
from model.training.training_data import TrainingData
from model.training.windows import windows_until

Ints = npt.NDArray[np.int64]

TRAINING = 0.8  # of the time that is left after building; judging takes the rest
VALIDATING = 0.1  # of it, for each epoch
BATCH = 32  # events
MOST_EPOCHS = 10  # the rate falls to nothing over them
EPOCH_EVENTS = 4_096  # at most, sampled anew for each epoch: BERT needs few events
VALIDATION_EVENTS = 1_000
EVALUATED_EVENTS = 4_000
ENCODER_RATES = {"top": 1e-4, "all": 5e-5, "lora": 5e-4}
LORA_RANK = 8
WARM_UP = 0.1  # of the schedule
MOST_WEIGHT = 10.0  # of a positive label: larger weights make rare labels too noisy
CATEGORY_WEIGHT = 0.5


def fit(data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> Fitted:
    """See ``registry.Fit``; raises ``ScorerError`` without an encoder."""
    if not any(data.texts):
        raise DataError(
            "no item has a title or a category, and the network bert reads nothing else; give "
            "titles with --items, or choose another network"
        )
    limit = TimeLimit.of(plan.recipe.minutes)
    report(Progress.at("reading titles", 0.0))
    encoder = TextEncoder.open(plan.encoder, plan.device)
    network, left_out = build(data, plan, encoder, limit)
    nn.Module.to(network, plan.device)
    held_out, seed = useful(data.held_out_labels), plan.recipe.seed
    event_s = _seconds_of_one(network, data, plan, sample(held_out, BATCH, seed))
    limited = limit.within(plan, "building the network", limit.left_s() * TRAINING)
    validated = limit.affordable(VALIDATION_EVENTS, event_s, VALIDATING)
    _Training(network, data, limited, report, validated).run()
    report(Progress.at("judging", 1.0))
    events = sample(held_out, limit.affordable(EVALUATED_EVENTS, event_s, 1.0), seed)
    predictions = predict(network, data, plan, events, limit.is_over)
    nn.Module.to(network, "cpu")
    return Fitted(network, predictions, made={"titles_unused": _note(left_out)} if left_out else {})


def _seconds_of_one(network: TextModel, data: TrainingData, plan: Plan, events: Ints) -> float:
    """How long it takes to judge one event; 0 if there is no limit to keep."""
    if plan.recipe.minutes is None or not len(events):
        return 0.0
    tried = TimeLimit.of(None)
    predict(network, data, plan, events)
    return tried.spent_s() / len(events)


def _note(left_out: int) -> str:
    return f"--minutes left no time for the titles of {left_out:,} items, the least popular ones"


class _Training(Epochs):
    network: TextModel

    def __init__(
        self,
        network: TextModel,
        data: TrainingData,
        plan: Plan,
        report: Callable[[Progress], None],
        validated: int = VALIDATION_EVENTS,
    ) -> None:
        seed = plan.recipe.seed
        torch.manual_seed(seed)  # LoRA has no generator of its own
        choose(network, plan.tune)
        super().__init__(
            network,
            _optimizer(network, plan),
            plan.recipe,
            report,
            events=useful(data.learnt_labels),
            batch=BATCH,
            epoch_events=EPOCH_EVENTS,
            most_epochs=MOST_EPOCHS,
            checkpoint=Checkpoint.of(plan.config.network, data, plan, network),
        )
        self.data, self.plan = data, plan
        followed = np.flatnonzero(data.held_out_labels.next_items != NO_NEXT)
        self.held_out = sample(followed, validated, seed)
        self.negatives = Negatives(torch.from_numpy(data.counts), self.recipe.weights.draws)
        self.weights = yes_weights(data.learnt_labels).to(network.device)
        self.categories = torch.from_numpy(data.catalogue.item_categories).to(network.device)

    def run(self) -> None:
        """Train in place; leave the network in eval mode with the best epoch's weights."""
        super().run()
        merge(self.network)
        nn.Module.eval(self.network)

    def rate(self, done: float) -> float:
        """Linear warm-up, then linear decay to 0, as BERT's authors fine-tuned it."""
        return min(1.0, (done + 1 / self.steps) / WARM_UP) * (1 - done)

    def validate(self) -> Validation:
        """Evaluate the predictions for a sample of the held-out events."""
        ranks = predict(self.network, self.data, self.plan, self.held_out).ranks
        return Validation.of(ranks)

    def cost(self, events: Ints) -> Tensor:
        """The loss of a batch: intents, and the next item and its category if there is one."""
        network, labels = self.network, self.data.learnt_labels
        last = _last(network, windows_until(self.data.learnt, events, self.plan.config))
        states = network.read(last, trim=True)
        happened = torch.from_numpy(labels.intents[events]).to(network.device)
        loss = intent_loss(network.intent(states), happened, self.weights)
        loss = loss * self.recipe.weights.intent
        next_items = torch.from_numpy(labels.next_items[events].astype(np.int64))
        rows = torch.nonzero(next_items >= 0)[:, 0].to(network.device)  # N of them
        if not len(rows):
            return loss
        targets = next_items.to(network.device)[rows]
        category = category_loss(network.category(states[rows]), self.categories[targets])
        return loss + CATEGORY_WEIGHT * category + self._item_loss(last, states, rows, targets)

    def _item_loss(self, last: Last, states: Tensor, rows: Tensor, targets: Tensor) -> Tensor:
        network = self.network
        negatives, correction = (
            part.to(network.device) for part in self.negatives.draw(torch.default_generator)
        )
        queries, bias = network.generate(states[rows]), network.bias
        vectors = network.item_vectors[FIRST_ITEM:]
        return next_item_loss(
            targets=(queries * vectors[targets]).sum(1) + bias[targets],
            negatives=queries @ vectors[negatives].T + (bias[negatives] - correction),
            hits=targets[:, None] == negatives,
            copies=network.copies(states, last)[rows],
            copied=last.items[rows] == (targets + FIRST_ITEM)[:, None],
        )


def choose(network: TextModel, tune: str) -> None:
    """Select the encoder weights to train: ``top``, ``all`` or ``lora``."""
    if tune == "all":
        return
    network.encoder.requires_grad_(False)
    if tune == "top":
        lists = [part for part in network.encoder.modules() if isinstance(part, nn.ModuleList)]
        max(lists, key=len)[-1].requires_grad_(True)  # the longest list holds the layers
        return
    from peft import LoraConfig, get_peft_model

    lora = LoraConfig(r=LORA_RANK, lora_alpha=2 * LORA_RANK, target_modules="all-linear")
    network.encoder = get_peft_model(network.encoder, lora)


def merge(network: TextModel) -> None:
    """Merge LoRA's updates into the encoder's weights, if there are any."""
    if hasattr(network.encoder, "merge_and_unload"):
        network.encoder = network.encoder.merge_and_unload()
    network.encoder.requires_grad_(True)


def yes_weights(labels: Labels) -> Tensor:
    """The weight of a positive label against a negative one, ``min(√(no / yes), 10)``, (A,).

    The square root is a compromise: unweighted, a rare intent is learnt last; fully balanced, a
    few buyers are memorised. Calibration undoes the effect on the probabilities.
    """
    yes = (labels.intents == 1).sum(axis=0)
    no = (labels.intents == 0).sum(axis=0)
    weights = np.sqrt(no / np.maximum(yes, 1)).clip(1.0, MOST_WEIGHT)
    return torch.from_numpy(weights.astype(np.float32))


def predict(
    network: TextModel,
    data: TrainingData,
    plan: Plan,
    events: Ints,
    is_over: Callable[[], bool] = lambda: False,
) -> Predictions:
    """Predict after these events of the whole log, with their labels, until ``is_over``."""

    def answer(windows: Padded, targets: Tensor) -> tuple[Tensor, Tensor]:
        last = _last(network, windows)
        probabilities, _, intents, _ = network.answer(network.read(last, trim=True), last)
        return ranks_of(targets, probabilities), intents

    with eval_mode(network):
        return predict_events(data, plan.config, events, BATCH, answer, is_over)


def _last(network: TextModel, windows: Padded) -> Last:
    items, actions, gaps, lengths, _ = tensors(windows, network.device)
    return Last.of(items, actions, gaps, lengths, network.config.last_items)


def _optimizer(network: TextModel, plan: Plan) -> torch.optim.Optimizer:
    """AdamW with a high rate for the heads, a low one for the encoder, and no decay of the bias."""
    encoder = [p for p in network.encoder.parameters() if p.requires_grad]
    known = {id(p) for p in (*network.encoder.parameters(), network.bias)}
    heads = [p for p in network.parameters() if id(p) not in known]
    groups = [
        {"params": encoder, "lr": ENCODER_RATES[plan.tune]},
        {"params": heads, "lr": plan.recipe.learning_rate},
        {"params": [network.bias], "lr": plan.recipe.learning_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, weight_decay=plan.recipe.weight_decay)
