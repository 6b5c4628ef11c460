"""The session HMM (network ``path``): a hidden Markov model of the stages of a session.

A session is what a user does without a pause of about half an hour. Each action is one symbol: its
type, whether the item stands in the session already or is of the last one's category, and how long
it took. The stages are hidden; a fifth state, which is entered once, is the end of the session
(Rabiner, "A Tutorial on Hidden Markov Models …", Proceedings of the IEEE 1989).
"""

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from model.features import FIRST_ACTION, FIRST_ITEM
from model.networks.candidates import log_counts
from model.visits import RELATIONS, STAGES

END = len(STAGES)  # the state after the stages: the session is over
STATES = END + 1
SAME_ITEM, SAME_CATEGORY, OTHER = range(len(RELATIONS))
OVER_FROM = 13  # code of the first gap that ends a session: 2^11 s, 34 minutes
SLOWER_FROM = (5, 8)  # codes of the first gaps that are not quick (8 s) and that are slow (64 s)
PACES = 1 + len(SLOWER_FROM)
QUANTILES = 200
_COLUMNS = 16


class PathConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """All it takes to rebuild the network."""

    model_type = "lately-path"

    def __init__(
        self,
        *,
        items: int = 1,  # V: the catalogue, without the codes for padding and unknown
        categories: int = 0,  # C
        actions: int = 3,  # action types, without the code for padding
        intents: int = 2,
        max_length: int = 52,  # L: the widest padded batch
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.items = items
        self.categories = categories
        self.actions = actions
        self.intents = intents
        self.max_length = max_length

    @property
    def symbols(self) -> int:
        """How many different symbols a session is made of."""
        return self.actions * len(RELATIONS) * PACES


class Observed(NamedTuple):
    """Windows as the hidden Markov model sees them."""

    symbols: Tensor  # (B, L) 0 to N - 1, -1 for an action of a type that the model does not know
    starts: Tensor  # (B, L) whether a session begins here
    newest: Tensor  # (B, L) whether the action belongs to the newest session


class Belief(NamedTuple):
    """What is believed of each of B users after their newest action."""

    stages: Tensor  # (B, S) probabilities
    surprise: Tensor  # (B,) −log likelihood of the newest session, in nats an action


class PathModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """From a window to the stage of the session, its next step, and its end."""

    config_class = PathConfig
    base_model_prefix = "path"
    start: Tensor  # (S + 1,) the stage of a session's first action
    transition: Tensor  # (S + 1, S + 1) row: from, column: to
    emission: Tensor  # (S + 1, N) of each symbol; the end has none
    surprises: Tensor  # (Q,) of the training sessions, ascending: their quantiles
    item_attribute: Tensor  # (V + 2,) by item code: 0 none, else category + 1
    popularity: Tensor  # (V,) the share of each item in the counts
    on_shelf: Tensor  # (V,) the share of each item in the counts of its category

    def __init__(self, config: PathConfig) -> None:
        super().__init__(config)
        codes = config.items + FIRST_ITEM
        real = torch.ones(STATES)
        real[END] = 0.0
        symbols = real[:, None].expand(-1, config.symbols) / config.symbols
        self.register_buffer("start", real / len(STAGES))
        self.register_buffer("transition", torch.full((STATES, STATES), 1 / STATES))
        self.register_buffer("emission", symbols.clone())
        self.register_buffer("surprises", torch.zeros(QUANTILES))
        self.register_buffer("item_attribute", torch.zeros(codes, dtype=torch.int64))
        self.register_buffer("popularity", torch.full((config.items,), 1 / config.items))
        self.register_buffer("on_shelf", torch.full((config.items,), 1 / config.items))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a log without such actions has a head without rows
            self.intent = nn.Linear(len(STAGES) + 2 * config.actions + 2, config.intents)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: the training sets every number."""

    def set_items(self, categories: Tensor, counts: Tensor) -> None:
        """Say what is known of the catalogue: category indices (V,), -1 for none, counts (V,)."""
        attributes = categories.to(self.item_attribute) + 1
        self.item_attribute[FIRST_ITEM:] = attributes
        weights = counts.to(torch.float64) + 1e-3  # an item nobody acted on is possible
        totals = torch.zeros(self.config.categories + 1, dtype=torch.float64)
        totals.index_add_(0, attributes, weights)
        self.popularity.copy_(weights / weights.sum())
        self.on_shelf.copy_(weights / totals[attributes])

    def observe(self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor) -> Observed:
        """The symbols of windows (B, L); what stands in padding has no meaning."""
        length = items.shape[1]
        place = torch.arange(length, device=items.device)
        waited = functional.pad(gaps[:, :-1], (1, 0))  # before each action; 0 before the first
        starts = (waited >= OVER_FROM) | (place == 0)
        number = starts.long().cumsum(dim=1)  # (B, L) of the session
        newest = number == number.gather(1, (lengths.long() - 1).clamp(min=0)[:, None])
        newest = newest & (place < lengths[:, None])
        earlier = place[:, None] > place  # (L, L)
        same = (items[:, :, None] == items[:, None, :]) & (number[:, :, None] == number[:, None, :])
        again = (same & earlier & (items >= FIRST_ITEM)[:, :, None]).any(dim=2)
        attribute = self.item_attribute[items.long()]
        before = functional.pad(attribute[:, :-1], (1, 0))
        alike = (attribute == before) & (attribute > 0) & ~starts
        relation = torch.full_like(attribute, OTHER)
        relation = relation.masked_fill(alike, SAME_CATEGORY).masked_fill(again, SAME_ITEM)
        steady, slow = ((waited >= code).long() for code in SLOWER_FROM)
        pace = (steady + slow).masked_fill(starts, PACES - 1)
        action = actions.long() - FIRST_ACTION
        symbols = (action * len(RELATIONS) + relation) * PACES + pace
        return Observed(symbols.masked_fill(action < 0, -1), starts, newest)

    def believe(self, observed: Observed) -> Belief:
        """The forward algorithm, over the newest session of each window."""
        symbols, starts, newest = observed
        chances = self.emission.T[symbols.clamp(min=0)]  # (B, L, S + 1)
        chances = torch.where((symbols < 0)[..., None], (self.start > 0).float(), chances)
        # A sum in the same order however many users there are, in as many columns as the widest
        # vector register holds: so the logarithm, too, has the same bits for all (see log_counts).
        ones = chances.new_ones(STATES, _COLUMNS)
        state = self.start.expand(symbols.shape[0], -1)
        surprise = chances.new_zeros(symbols.shape[0], 1)
        for place in range(symbols.shape[1]):
            here = newest[:, place, None]
            came = torch.where(starts[:, place, None], self.start, state @ self.transition)
            joint = came * chances[:, place]
            total = joint @ ones
            state = torch.where(here, joint / total[:, :1], state)
            surprise = torch.where(here, surprise - torch.log(total[:, :1]), surprise)
        count = newest.float().sum(dim=1).clamp(min=1)
        return Belief(state, surprise[:, 0] / count)

    def expect(self, stages: Tensor) -> tuple[Tensor, Tensor]:
        """What comes next, from beliefs (B, S + 1).

        The chances (B, A · R) of each step if the session goes on, action types outside and
        relations inside, and the chance (B,) that it ends.
        """
        following = stages @ self.transition  # (B, S + 1)
        paces = (following @ self.emission).view(-1, self.config.symbols // PACES, PACES)
        steps = paces[..., 0]
        for pace in range(1, PACES):
            steps = steps + paces[..., pace]
        ends = following[:, END]
        return steps / (1 - ends).clamp(min=torch.finfo(steps.dtype).tiny)[:, None], ends

    def describe(
        self, actions: Tensor, lengths: Tensor, newest: Tensor, stages: Tensor, ends: Tensor
    ) -> Tensor:
        """What intents are told from: stages, the newest session's actions, and its end, (B, F)."""
        types = functional.one_hot(actions.long(), self.config.actions + 1)[..., 1:].float()
        counts = (types * newest[..., None]).sum(dim=1)
        at = (lengths.long() - 1).clamp(min=0)[:, None, None].expand(-1, -1, types.shape[2])
        last = types.gather(1, at)[:, 0]
        length = newest.float().sum(dim=1, keepdim=True)
        logs = [log_counts(n, newest.shape[1]) for n in (counts, length)]
        return torch.cat([stages[:, :END], last, *logs, ends[:, None]], dim=1)

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Stages (B, S), steps (B, A · R), end and surprise (B, 2), features (B, F)."""
        observed = self.observe(items, actions, gaps, lengths)
        belief = self.believe(observed)
        steps, ends = self.expect(belief.stages)
        features = self.describe(actions, lengths, observed.newest, belief.stages, ends)
        return belief.stages[:, :END], steps, torch.stack([ends, belief.surprise], 1), features


AutoConfig.register(PathConfig.model_type, PathConfig)
AutoModel.register(PathConfig, PathModel)
