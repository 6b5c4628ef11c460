"""The training of the session HMM: expectation maximisation, then logistic regression."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.config import ArtifactConfig
from model.data.dataset import Histories
from model.errors import DataError
from model.features import CENSORED, Padded
from model.graphs.path import PathGraph
from model.networks.path import END, OVER_FROM, QUANTILES, STATES, PathConfig, PathModel
from model.training.path.forward_backward import Chances, Sessions
from model.training.path.hmm import STARTS, named, search
from model.training.plan import Plan, Progress
from model.training.prediction import predict_events, ranks_of, tensors
from model.training.registry import Fitted
from model.training.results import Predictions
from model.training.sampling import batches, sample, useful
from model.training.time_limit import TimeLimit
from model.training.training_data import TrainingData
from model.training.windows import windows_until

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SESSIONS = 3_000  # to train on, at most: enough for a few hundred parameters
MIX = 1e-3  # weight of a uniform distribution in each one: nothing unseen is impossible
INTENT_EVENTS = 20_000
EVALUATED_EVENTS = 20_000
SEARCHING, FITTING = 0.5, 0.3  # of the time that is left, the rest of it to judge
AT_ONCE = 256


def fit(data: TrainingData, plan: Plan, report: Callable[[Progress], None]) -> Fitted:
    """See ``registry.Fit``."""
    limit = TimeLimit.of(plan.recipe.minutes)
    torch.manual_seed(plan.recipe.seed)
    catalogue, config = data.catalogue, plan.config
    network = PathModel(PathConfig(**data.sizes(config), max_length=config.padded_length))
    nn.Module.eval(network)
    categories = torch.from_numpy(catalogue.item_categories)
    network.set_items(categories, torch.from_numpy(data.counts))
    ends = sample(session_ends(data.learnt, config), SESSIONS, plan.recipe.seed)
    is_over = over(data.learnt, ends, data.held_out.start_ms, config)
    sessions = read_sessions(network, data.learnt, ends, is_over, config)
    bought = sorted({code for codes in config.counted_codes for code in codes})

    def tell(searches: int, surprise: float) -> None:
        report(Progress(searches, searches / STARTS, surprise, None))

    limit.within(plan, "reading the sessions", limit.left_s())
    searched_s = limit.spent_s() + limit.left_s() * SEARCHING
    found = search(
        sessions,
        network.config.symbols,
        plan.recipe.seed,
        tell,
        lambda: limit.spent_s() >= searched_s,
    )
    set_chances(network, named(found, bought))
    began_s = limit.spent_s()
    _set_surprises(network, data.learnt, ends, config)
    window_s = (limit.spent_s() - began_s) / max(1, len(ends))
    _fit_intents(network, data, plan, limit.affordable(INTENT_EVENTS, window_s, FITTING))
    report(Progress.at("judging", 1.0))
    events = sample(useful(data.held_out_labels), EVALUATED_EVENTS, plan.recipe.seed)
    return Fitted(network, predict(network, data, config, events, limit.is_over))


def pause_ms(config: ArtifactConfig) -> int:
    """The shortest gap that ends a session: that of the code ``OVER_FROM``."""
    bounds = config.gap_bounds_ms
    if len(bounds) < OVER_FROM - 1:
        raise DataError(
            f"gap_buckets is {config.gap_buckets}, but the path network separates visits by "
            f"gaps of bucket {OVER_FROM}; expected at least {OVER_FROM}"
        )
    return bounds[OVER_FROM - 2]


def session_ends(histories: Histories, config: ArtifactConfig) -> Ints:
    """The last event of each session."""
    pauses = np.diff(histories.times_ms, append=0) >= pause_ms(config)
    return np.flatnonzero(pauses | histories.is_last)


def over(
    histories: Histories, ends: Ints, until_ms: int, config: ArtifactConfig
) -> npt.NDArray[np.bool_]:
    """Whether each session is known to be over, in a log that ends at ``until_ms``."""
    quiet = histories.times_ms[ends] + pause_ms(config) <= until_ms
    returned: npt.NDArray[np.bool_] = ~histories.is_last[ends]
    return returned | quiet


def read_sessions(
    network: PathModel,
    histories: Histories,
    ends: Ints,
    is_over: npt.NDArray[np.bool_],
    config: ArtifactConfig,
) -> Sessions:
    """Encode the sessions that end with these events, cut to a window."""
    symbols, lengths = [], []
    for rows in batches(np.arange(len(ends)), AT_ONCE):
        items, actions, gaps, sizes = _tensors(histories, ends[rows], config)
        observed = network.observe(items, actions, gaps, sizes)
        real = observed.newest & (observed.symbols >= 0)
        for row, session, known in zip(rows, observed.symbols, real, strict=True):
            end = [network.config.symbols] if is_over[row] else []
            symbols.append(np.concatenate([session[known].numpy(), end]))
            lengths.append(len(symbols[-1]))
    return Sessions(np.concatenate(symbols).astype(np.int64), np.array(lengths, dtype=np.int64))


def set_chances(network: PathModel, chances: Chances) -> None:
    """Copy the model into the network, each stage's distribution mixed with a uniform one."""
    start, transition, emission = chances
    start = _mixed(start[None, :END])[0]
    emission = _mixed(emission[:END, :-1])
    network.start[:END] = torch.from_numpy(start)
    network.transition[:END] = torch.from_numpy(_mixed(transition[:END]))
    network.transition[END] = torch.eye(STATES)[END]
    network.emission[:END] = torch.from_numpy(emission)


def predict(
    network: PathModel,
    data: TrainingData,
    config: ArtifactConfig,
    events: Ints,
    is_over: Callable[[], bool] = lambda: False,
) -> Predictions:
    """Predict what is served after these events of the whole log, with their labels.

    The rest is left out once ``is_over``.
    """
    graph = PathGraph(network, config)

    def answer(windows: Padded, targets: Tensor) -> tuple[Tensor, Tensor]:
        found = dict(zip(graph.outputs, graph(*tensors(windows)[:4]), strict=True))
        return ranks_of(targets, found["probabilities"]), found["intent_logits"]

    return predict_events(data, config, events, AT_ONCE, answer, is_over)


def _mixed(rows: Floats) -> Floats:
    sums = rows.sum(axis=1, keepdims=True)
    even = np.full_like(rows, 1 / rows.shape[1])
    known = np.where(sums > 0, rows / np.where(sums > 0, sums, 1), even)
    mixed: Floats = (1 - MIX) * known + MIX * even
    return mixed


@torch.no_grad()
def _set_surprises(
    network: PathModel, histories: Histories, ends: Ints, config: ArtifactConfig
) -> None:
    found = [
        network(*_tensors(histories, rows, config))[2][:, 1] for rows in batches(ends, AT_ONCE)
    ]
    shares = torch.linspace(0, 1, QUANTILES)
    network.surprises.copy_(torch.quantile(torch.cat(found), shares))


@torch.no_grad()
def _fit_intents(network: PathModel, data: TrainingData, plan: Plan, most: int) -> None:
    from sklearn.linear_model import LogisticRegression

    events = np.flatnonzero((data.learnt_labels.intents != CENSORED).any(axis=1))
    events = sample(events, most, plan.recipe.seed)
    labels = data.learnt_labels.intents[events]
    nn.init.zeros_(network.intent.weight)
    nn.init.zeros_(network.intent.bias)
    if not len(events):
        return
    features = np.concatenate(
        [
            network(*_tensors(data.learnt, rows, plan.config))[3].numpy()
            for rows in batches(events, AT_ONCE)
        ]
    )
    for column in range(labels.shape[1]):
        known = labels[:, column] != CENSORED
        happened = labels[known, column]
        if happened.min(initial=1) == happened.max(initial=0):
            continue  # all labels are equal: the calibration has the rate
        line = LogisticRegression(max_iter=1_000).fit(features[known], happened)
        network.intent.weight[column] = torch.from_numpy(line.coef_[0])
        network.intent.bias[column] = float(line.intercept_[0])


def _tensors(histories: Histories, ends: Ints, config: ArtifactConfig) -> list[Tensor]:
    return tensors(windows_until(histories, ends, config))[:4]
