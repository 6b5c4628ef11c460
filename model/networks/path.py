"""The session HMM (network ``path``): a hidden Markov model of the stages of a session.

A session ends with a pause of about half an hour. Each action emits one symbol: its type, whether
its item occurred earlier in the session or shares the previous item's category, and the time since
the previous action. The stages are hidden; a fifth, absorbing state is the end of the session
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

END = len(STAGES)  # the state that follows the stages: the session is over
STATES = END + 1
SAME_ITEM, SAME_CATEGORY, OTHER = range(len(RELATIONS))
OVER_FROM = 13  # code of the first gap that ends a session: 2^11 s, 34 minutes
SLOWER_FROM = (5, 8)  # codes of the shortest gaps that count as steady (8 s) and as slow (64 s)
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
        """The number of distinct symbols."""
        return self.actions * len(RELATIONS) * PACES


class Observed(NamedTuple):
    """Windows as the hidden Markov model sees them."""

    symbols: Tensor  # (B, L) 0 to N - 1, -1 for an unknown action type
    starts: Tensor  # (B, L) whether a session begins here
    newest: Tensor  # (B, L) whether the action belongs to the newest session


class Belief(NamedTuple):
    """The state distribution of each of B users after their newest action."""

    stages: Tensor  # (B, S + 1) probabilities
    surprise: Tensor  # (B,) −log likelihood of the newest session, in nats per action


class PathModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Infers the stage of the session from a window, and predicts its next step and its end."""

    config_class = PathConfig
    base_model_prefix = "path"
    start: Tensor  # (S + 1,) probabilities of the stage of a session's first action
    transition: Tensor  # (S + 1, S + 1) probabilities; row: from, column: to
    emission: Tensor  # (S + 1, N) symbol probabilities; the end emits none
    surprises: Tensor  # (Q,) quantiles of the surprise of the training sessions, ascending
    item_attribute: Tensor  # (V + 2,) by item code: 0 none, else category + 1
    popularity: Tensor  # (V,) each item's share of the counts
    on_shelf: Tensor  # (V,) each item's share of its category's counts

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
            warnings.simplefilter("ignore")  # a log without intent actions gives a head of 0 rows
            self.intent = nn.Linear(len(STAGES) + 2 * config.actions + 2, config.intents)
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Do nothing: training sets every weight."""

    def set_items(self, categories: Tensor, counts: Tensor) -> None:
        """Fill the item tables from category indices (V,), -1 for none, and counts (V,)."""
        attributes = categories.to(self.item_attribute) + 1
        self.item_attribute[FIRST_ITEM:] = attributes
        weights = counts.to(torch.float64) + 1e-3  # an item without actions stays possible
        totals = torch.zeros(self.config.categories + 1, dtype=torch.float64)
        totals.index_add_(0, attributes, weights)
        self.popularity.copy_(weights / weights.sum())
        self.on_shelf.copy_(weights / totals[attributes])

    def observe(self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor) -> Observed:
        """The symbols of windows (B, L); those of padding are meaningless."""
        length = items.shape[1]
        position = torch.arange(length, device=items.device)
        waited = functional.pad(gaps[:, :-1], (1, 0))  # before each action; 0 before the first
        starts = (waited >= OVER_FROM) | (position == 0)
        number = starts.long().cumsum(dim=1)  # (B, L) of the session
        newest = number == number.gather(1, (lengths.long() - 1).clamp(min=0)[:, None])
        newest = newest & (position < lengths[:, None])
        earlier = position[:, None] > position  # (L, L)
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
        """Run the forward algorithm over the newest session of each window."""
        symbols, starts, newest = observed
        chances = self.emission.T[symbols.clamp(min=0)]  # (B, L, S + 1)
        chances = torch.where((symbols < 0)[..., None], (self.start > 0).float(), chances)
        # A multiply sums in the same order for any number of users, and its columns fill the
        # widest vector register, so the logarithm has the same bits for all (see log_counts).
        ones = chances.new_ones(STATES, _COLUMNS)
        state = self.start.expand(symbols.shape[0], -1)
        surprise = chances.new_zeros(symbols.shape[0], 1)
        for position in range(symbols.shape[1]):
            counted = newest[:, position, None]
            prior = torch.where(starts[:, position, None], self.start, state @ self.transition)
            joint = prior * chances[:, position]
            total = joint @ ones
            state = torch.where(counted, joint / total[:, :1], state)
            surprise = torch.where(counted, surprise - torch.log(total[:, :1]), surprise)
        count = newest.float().sum(dim=1).clamp(min=1)
        return Belief(state, surprise[:, 0] / count)

    def expect(self, stages: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the next step from state distributions (B, S + 1).

        Returns the probability of each step if the session goes on, (B, A · R), the relation
        varying fastest, and the probability (B,) that it ends.
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
        """The features of the intent head (B, F): stages, the newest session's actions, its end."""
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
        """Return stages (B, S), steps (B, A · R), end and surprise (B, 2), features (B, F)."""
        observed = self.observe(items, actions, gaps, lengths)
        belief = self.believe(observed)
        steps, ends = self.expect(belief.stages)
        features = self.describe(actions, lengths, observed.newest, belief.stages, ends)
        return belief.stages[:, :END], steps, torch.stack([ends, belief.surprise], 1), features


AutoConfig.register(PathConfig.model_type, PathConfig)
AutoModel.register(PathConfig, PathModel)
