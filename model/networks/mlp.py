"""The click-through network: the probability that a user acts next on each of some candidates.

A multi-layer perceptron over the pooled history, the candidate, features that relate the two, and
the hour, in the manner of Covington, Adams and Sargin, "Deep Neural Networks for YouTube
Recommendations" (RecSys 2016).
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from model.features import FIRST_ITEM, WEEK_HOURS, Padded
from model.networks.candidates import (
    NOBODY,
    RELATIONS,
    Neighbours,
    decays,
    log_counts,
    newest,
    relate,
)

RECENCY_DECAY = 0.7  # of an item's weight in the history, per step back
GAP_WIDTH = 8


class MlpConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """All it takes to rebuild the network."""

    model_type = "lately-mlp"

    def __init__(
        self,
        *,
        items: int = 1,  # V: the catalogue, without the codes for padding and unknown
        categories: int = 0,  # C
        actions: int = 3,  # action types, without the code for padding
        gap_buckets: int = 23,  # without the code for padding
        intents: int = 2,
        max_length: int = 52,  # L: the widest padded batch
        width: int = 64,  # D
        hidden: tuple[int, int] = (512, 256),
        dropout: float = 0.3,
        neighbours: int = 20,  # M, per item
        recent: int = 3,  # R: newest items whose neighbours are candidates
        popular: int = 60,  # P: candidates for every user
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.items = items
        self.categories = categories
        self.actions = actions
        self.gap_buckets = gap_buckets
        self.intents = intents
        self.max_length = max_length
        self.width = width
        self.hidden = tuple(hidden)
        self.dropout = dropout
        self.neighbours = neighbours
        self.recent = recent
        self.popular = min(popular, items)


class User(NamedTuple):
    """The inputs of B users that do not depend on the candidate."""

    context: Tensor  # (B, X)
    mean: Tensor  # (B, D) of the window's item vectors
    recent: Tensor  # (B, D) the same weighted by recency: the user's vector


class MlpModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Predicts the probability of each candidate and the user's intents from a window."""

    config_class = MlpConfig
    base_model_prefix = "mlp"
    item_attribute: Tensor  # (V + 2,) by item code: 0 none, else category + 1
    popularity: Tensor  # (V + 2,) log of the counts, less its mean
    popular: Tensor  # (P,) item codes, most popular first
    neighbour_codes: Tensor  # (V + 2, M)
    neighbour_shares: Tensor  # (V + 2, M)

    def __init__(self, config: MlpConfig) -> None:
        super().__init__(config)
        width, codes = config.width, config.items + FIRST_ITEM
        first, second = config.hidden
        self.item = nn.Embedding(codes, width, padding_idx=0)
        self.attribute = nn.Embedding(config.categories + 1, width, padding_idx=0)  # 0: none
        self.gap = nn.Embedding(config.gap_buckets + 1, GAP_WIDTH, padding_idx=0)
        context = 3 * width + GAP_WIDTH + 2 * (config.actions + 1) + 1 + 4
        self.of_user = nn.Linear(context, first)
        self.of_candidate = nn.Linear(3 * width + RELATIONS, first, bias=False)
        self.hidden = nn.Linear(first, second)
        self.out = nn.Linear(second, 1 + config.intents)
        self.dropout = nn.Dropout(config.dropout)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a log without intent actions gives a head of 0 rows
            self.intent = nn.Sequential(
                nn.Linear(context, second), nn.ReLU(), nn.Linear(second, config.intents)
            )
        table = (codes, config.neighbours)
        self.register_buffer("item_attribute", torch.zeros(codes, dtype=torch.int64))
        self.register_buffer("popularity", torch.zeros(codes))
        self.register_buffer("popular", torch.arange(config.popular) + FIRST_ITEM)
        self.register_buffer("neighbour_codes", torch.zeros(table, dtype=torch.int64))
        self.register_buffer("neighbour_shares", torch.zeros(table))
        for embedding in (self.item, self.attribute):
            nn.init.normal_(embedding.weight, std=1 / math.sqrt(width))
            with torch.no_grad():
                embedding.weight[0].zero_()
        self.post_init()  # type: ignore[no-untyped-call]

    def _init_weights(self, module: nn.Module) -> None:
        """Do nothing: the modules initialise themselves, alike in every version of the library."""

    def set_items(
        self, categories: Tensor, counts: npt.NDArray[np.int64], neighbours: Neighbours
    ) -> None:
        """Fill the item tables from category indices (V,), -1 for none, counts (V,), neighbours."""
        self.item_attribute[FIRST_ITEM:] = categories.to(self.item_attribute) + 1
        logs = np.log(counts + 1.0)
        self.popularity[FIRST_ITEM:] = torch.from_numpy(logs - logs.mean()).to(self.popularity)
        best = np.argsort(-counts, kind="stable")[: len(self.popular)] + FIRST_ITEM
        self.popular.copy_(torch.from_numpy(best))
        self.neighbour_codes.copy_(torch.from_numpy(neighbours.codes))
        self.neighbour_shares.copy_(torch.from_numpy(neighbours.shares))

    def item_vectors(self, codes: Tensor | None = None) -> Tensor:
        """Vectors of length √D/2 for these item codes (all, (V + 2, D), if None); padding's is 0.

        At this length the products of two vectors are on the scale of the other inputs.
        """
        if codes is None:
            codes = torch.arange(len(self.item_attribute), device=self.item_attribute.device)
        vectors = self.item(codes) + self.attribute(self.item_attribute[codes])
        return functional.normalize(vectors, dim=-1) * (math.sqrt(self.config.width) / 2)

    def propose(self, items: Tensor, lengths: Tensor) -> Tensor:
        """The candidates of each window (B, L): (B, P + R·M + L) codes, with duplicates.

        They are the most popular items, the neighbours of the newest items, and the window itself.
        """
        recent = newest(items, lengths, self.config.recent)  # (B, R)
        near = self.neighbour_codes[recent].flatten(1)
        everyone = self.popular.expand(items.shape[0], -1)
        return torch.cat([everyone, near, items.long()], dim=1)

    def look(
        self,
        items: Tensor,
        actions: Tensor,
        gaps: Tensor,
        lengths: Tensor,
        hours: Tensor,
        vectors: Tensor,
    ) -> User:
        """The inputs that depend on the user only; ``vectors`` (B, L, D) are those of the items."""
        steps = lengths[:, None] - 1 - torch.arange(items.shape[1], device=items.device)
        known = (items >= FIRST_ITEM).float()  # (B, L)
        mean = _pool(known, vectors)
        weights = decays(steps, items.shape[1], RECENCY_DECAY)
        recent = _pool(known * weights, vectors)
        last = vectors.gather(1, _at(lengths - 1)[..., None].expand(-1, -1, vectors.shape[2]))
        types = functional.one_hot(actions.long(), self.config.actions + 1).float()
        real = (steps >= 0).float()
        counts = log_counts((types * real[..., None]).sum(dim=1), items.shape[1])
        # The gap at a position ends with the next action. The newest gap ends at scoring time,
        # which is zero when an action triggers the score, so the gap before it is used.
        waited = gaps.long().gather(1, _at(lengths - 2))[:, 0]
        waited = waited.masked_fill(lengths < 2, 0)
        newest_type = types.gather(1, _at(lengths - 1)[..., None].expand(-1, -1, types.shape[2]))
        parts = [mean, recent, last[:, 0], self.gap(waited), newest_type[:, 0], counts]
        parts += [log_counts(lengths, items.shape[1])[:, None], _clock(hours)]
        return User(torch.cat(parts, dim=1), mean, recent)

    def score(
        self, user: User, candidates: Tensor, vectors: Tensor, items: Tensor, lengths: Tensor
    ) -> Tensor:
        """Log probabilities (B, N, 1 + A) of candidates (B, N) whose vectors are (B, N, D).

        The first is that the user's next action is on the candidate; the others that it is also
        this action of ``config.intents``. The values of ``NOBODY`` are finite but meaningless.
        """
        recent = newest(items, lengths, self.config.recent)
        near = self.neighbour_codes[recent], self.neighbour_shares[recent]  # (B, R, M)
        relations = relate(candidates, items, lengths, near, self.item_attribute)
        popularity = self.popularity[candidates][..., None]
        crossed = [vectors * user.mean[:, None], vectors * user.recent[:, None]]
        inputs = torch.cat([vectors, *crossed, relations, popularity], dim=2)
        of_user = self.dropout(self.of_user(user.context))[:, None]
        x = functional.silu(of_user + self.of_candidate(inputs))
        x = functional.silu(self.hidden(x))
        log_chances: Tensor = self.out(self.dropout(x))
        return log_chances

    def forward(
        self,
        items: Tensor,
        actions: Tensor,
        gaps: Tensor,
        lengths: Tensor,
        hours: Tensor,
        candidates: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Log probabilities (B, N, 1 + A) of candidate codes (B, N), and intent logits (B, A)."""
        user = self.look(items, actions, gaps, lengths, hours, self.item_vectors(items.long()))
        vectors = self.item_vectors(candidates)
        return self.score(user, candidates, vectors, items, lengths), self.intent(user.context)

    @torch.no_grad()
    def score_candidates(
        self, windows: Padded, candidates: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.float32]:
        """The probabilities (B, N, 1 + A) of given candidates, to rank a list made elsewhere.

        ``candidates`` (B, N) are catalogue indices, -1 where a user has fewer; those score 0. The
        first probability is that the user's next action is on the item; the others that it is
        also this action of ``config.intents``, in their order. A candidate's probability does not
        depend on the other candidates, so those of a list need not sum to one.
        """
        codes = torch.from_numpy(candidates.astype(np.int64)) + FIRST_ITEM
        codes = codes.masked_fill(codes < FIRST_ITEM, NOBODY).to(self.device)
        inputs = (torch.from_numpy(part).to(self.device) for part in windows)
        log_chances, _ = self(*inputs, codes)
        chances = log_chances.exp().clamp(max=1.0).masked_fill((codes == NOBODY)[..., None], 0.0)
        return chances.cpu().numpy()  # type: ignore[no-any-return]


def _pool(weights: Tensor, vectors: Tensor) -> Tensor:
    """The weighted mean (B, D) of vectors (B, L, D), 0 where all weights (B, L) are 0."""
    # A running sum: ReduceSum adds the weights of a batch of one in another order.
    total = weights.cumsum(dim=1)[:, -1:].clamp(min=torch.finfo(weights.dtype).tiny)
    return ((weights / total)[:, None, :] @ vectors)[:, 0]


def _at(positions: Tensor) -> Tensor:
    return positions.long().clamp(min=0)[:, None]  # (B, 1)


def _clock(hours: Tensor) -> Tensor:
    """The hour of the week (B,) as points on a daily and a weekly circle, (B, 4)."""
    all_hours = torch.arange(WEEK_HOURS, device=hours.device).float()
    turns = [all_hours * (2 * math.pi / period) for period in (24, WEEK_HOURS)]
    points = torch.stack([wave(turn) for turn in turns for wave in (torch.sin, torch.cos)], dim=1)
    return points[hours.long()]


AutoConfig.register(MlpConfig.model_type, MlpConfig)
AutoModel.register(MlpConfig, MlpModel)
