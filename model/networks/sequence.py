"""The sequence network: item vectors, inputs, experts and heads, around any encoder."""

import math
import warnings
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedConfig, PreTrainedModel

from model.features import FIRST_ITEM
from model.networks.experts import Copy, Generate, Rules, join
from model.networks.positions import (
    BUCKETS,
    MOST_OCCURRENCES,
    buckets,
    deepest,
    depths,
    occurrences,
)

READS = ("actions", "gaps")
WAYS = 2  # of counting co-occurrence, see model.training.sequence.co_occurrence


class SequenceConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """All it takes to rebuild the network; the defaults are those of the recipe."""

    def __init__(
        self,
        *,
        items: int = 1,  # V: the catalogue, without the codes for padding and unknown
        categories: int = 0,  # C
        attributes: int = 0,  # distinct values of the items' attributes
        attributes_each: int = 1,  # P: the most attributes of one item
        text_width: int = 0,  # W: dimension of the items' frozen text vectors
        text_source: dict[str, str] | None = None,  # their encoder, see text_encoder.TextSource
        companions: int = 1,  # M: the most neighbours of one item in the rules
        actions: int = 3,  # action types, without the code for padding
        gap_buckets: int = 23,  # without the code for padding
        reads: Sequence[str] = READS,  # inputs per action, besides its item
        intents: int = 2,
        max_length: int = 52,  # L: the widest padded batch
        width: int = 64,  # D
        blocks: int = 1,
        dropout: float = 0.3,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(**kwargs)
        self.items = items
        self.categories = categories
        self.attributes = attributes
        self.attributes_each = attributes_each
        self.text_width = text_width
        self.text_source = text_source
        self.companions = companions
        self.actions = actions
        self.gap_buckets = gap_buckets
        self.reads = list(reads)
        self.intents = intents
        self.max_length = max_length
        self.width = width
        self.blocks = blocks
        self.dropout = dropout


class States(NamedTuple):
    """The encoder's states and the experts' logits at T positions of each sequence."""

    states: Tensor  # (B, T, D)
    copies: Tensor  # (B, T, L) logits, see experts.Copy
    rules: Tensor  # (B, E, T, L) logits, see experts.Rules


class SequenceModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Predicts the next item, its category and the user's intents from an encoded window.

    One table of item vectors serves as input and output: id embedding, plus those of the item's
    attributes, plus its projected text, scaled to unit length. So an item without any actions has
    a vector as soon as its attributes or its text are known.
    """

    _tied_weights_keys = {"out.weight": "item.weight"}  # noqa: RUF012 - the library's way
    item_attributes: Tensor  # (V + 2, P) by item code: 0 none, else value index + 1
    item_category: Tensor  # (V + 2,) by item code: 0 none, else category + 1
    texts: Tensor  # (V + 2, W) by item code: the frozen vector of its text, 0 for none
    companions: Tensor  # (V + 2, M) codes of neighbours, see model.training.sequence.co_occurrence
    shares: Tensor  # (E, V + 2, M) of each neighbour in its item's counts
    support: Tensor  # (E, V + 2) buckets of experts.support_of
    balance: Tensor  # (buckets, 1 + E) added to the logits of copy and rules

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        width, codes = config.width, config.items + FIRST_ITEM
        self.item = nn.Embedding(codes, width, padding_idx=0)
        self.out = nn.Linear(width, codes)  # its bias is item popularity
        self.attribute = nn.Embedding(config.attributes + 1, width, padding_idx=0)  # 0: none
        self.text = nn.Linear(config.text_width, width, bias=False) if config.text_width else None
        self.action = nn.Embedding(config.actions + 1, width, padding_idx=0)
        self.gap = nn.Embedding(config.gap_buckets + 1, width, padding_idx=0)
        self.position = nn.Embedding(deepest(config.max_length) + 1, width)
        self.again = nn.Embedding(MOST_OCCURRENCES + 1, width)
        self.dropout = nn.Dropout(config.dropout)
        self.encoder = self.make_encoder(config)
        self.norm = nn.LayerNorm(width)
        self.generate = Generate(width)
        self.copy = Copy(width, config.max_length)
        self.rules = Rules(width, config.max_length, WAYS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a shop without categories gives a head of 0 rows
            self.category = nn.Linear(width, config.categories)
            self.intent = nn.Sequential(
                nn.Linear(width, width), nn.SiLU(), nn.Linear(width, config.intents)
            )
        self._add_tables(config)
        self._start()
        self.post_init()  # type: ignore[no-untyped-call]

    @abstractmethod
    def make_encoder(self, config: Any) -> nn.Module:
        """Make a module that takes inputs (B, L, D) and positions ``at`` (B, T), or None for all.

        It returns the inputs of its last layer at every position (B, L, D), which copy reads, and
        its outputs at the positions requested (B, T, D).
        """

    def _add_tables(self, config: SequenceConfig) -> None:
        codes, most = config.items + FIRST_ITEM, config.companions
        tables = {
            "item_attributes": torch.zeros(codes, config.attributes_each, dtype=torch.int32),
            "item_category": torch.zeros(codes, dtype=torch.int32),
            "texts": torch.zeros(codes, config.text_width, dtype=torch.float16),
            "companions": torch.zeros(codes, most, dtype=torch.int32),
            "shares": torch.zeros(WAYS, codes, most, dtype=torch.float16),
            "support": torch.zeros(WAYS, codes, dtype=torch.int32),
            "balance": torch.zeros(BUCKETS, 1 + WAYS),
        }
        for name, table in tables.items():
            self.register_buffer(name, table)

    def _start(self) -> None:
        unit = 1 / math.sqrt(self.config.width)
        for table in (self.item, self.attribute):
            nn.init.normal_(table.weight, std=unit)
        if self.text is not None:
            nn.init.normal_(self.text.weight, std=unit)
        for table in (self.action, self.gap, self.position, self.again):
            nn.init.normal_(table.weight, std=0.3)
        for table in (self.item, self.attribute, self.action, self.gap):
            with torch.no_grad():
                table.weight[0].zero_()
        nn.init.zeros_(self.out.bias)

    def _init_weights(self, module: nn.Module) -> None:
        """Do nothing: the modules initialise themselves, alike in every version of the library."""

    def get_input_embeddings(self) -> nn.Module:
        """The item table as the input embedding."""
        return self.item

    def get_output_embeddings(self) -> nn.Module:
        """The item table as the output layer; tied to the input."""
        return self.out

    def item_vectors(self, codes: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """The unit vectors of these item codes (N,), or of all, (V + 2, D).

        Where ``known`` (N, 1) is 0, the id embedding is dropped, as if the item were new.
        """
        if codes is None:
            codes = torch.arange(len(self.out.weight), device=self.out.weight.device)
        vectors = functional.embedding(codes, self.out.weight)
        if known is not None:
            vectors = vectors * known
        if self.config.attributes:
            vectors = vectors + self.attribute(self.item_attributes[codes].long()).sum(-2)
        if self.text is not None:
            vectors = vectors + self.text(self.texts[codes].to(vectors.dtype))
        return functional.normalize(vectors, dim=-1)

    def forward(
        self,
        items: Tensor,
        actions: Tensor,
        gaps: Tensor,
        lengths: Tensor,
        vectors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict what follows the newest action of each sequence, for serving.

        Inputs are codes from ``model.features``: (B, L), padded right, lengths (B,). ``vectors``
        may hold ``item_vectors()``, so that a frozen network computes them once. Returns
        probabilities over the catalogue (B, V), category logits (B, C) and intent logits (B, A).
        The outputs for a sequence of length 0 are finite but meaningless.
        """
        table = self.item_vectors() if vectors is None else vectors
        newest = (lengths.long() - 1).clamp(min=0)[:, None]  # (B, 1)
        states, copies, rules = self.look(items, actions, gaps, table[items.long()], newest)
        state = states[:, 0]  # (B, D)
        chances = self.chances(state, copies[:, 0], rules[:, :, 0], items, table)
        return chances, self.category(state), self.intent(state)

    def chances(
        self, states: Tensor, copies: Tensor, rules: Tensor, items: Tensor, table: Tensor
    ) -> Tensor:
        """The distribution over the whole catalogue at N positions, (N, V).

        Takes states (N, D), copy logits (N, L), rule logits (N, E, L), the windows' item codes
        (N, L), and the item vectors by code.
        """
        query = self.generate(states)
        scores = functional.linear(query, table[FIRST_ITEM:], self.out.bias[FIRST_ITEM:])
        codes = items.long()
        shares = self.shares[:, codes].transpose(0, 1).to(scores.dtype)  # (N, E, L, M)
        ruled = torch.logsumexp(rules[..., None] + torch.log(shares), dim=1).flatten(1)
        return join(scores, (copies, ruled), (items, self.companions[codes].flatten(1)))

    def look(
        self,
        items: Tensor,
        actions: Tensor,
        gaps: Tensor,
        vectors: Tensor,
        at: Tensor | None = None,
        support: Tensor | None = None,
    ) -> States:
        """States at the positions ``at`` (B, T), or at all of them, for training: T = L.

        ``vectors`` (B, L, D) are those of ``items``; ``support`` (B, E, L) replaces the table's
        where a window's own events must not count.
        """
        # The gap at a position ends with the next action, so it is an input one position later.
        waited = functional.pad(gaps[:, :-1], (1, 0))
        x = vectors * (math.sqrt(self.config.width) / 2)  # (B, L, D)
        if "actions" in self.config.reads:
            x = x + self.action(actions.long())
        if "gaps" in self.config.reads:
            x = x + self.gap(waited.long())
        depth = depths(None, items.shape[1], self.config.max_length, items.device)
        x = x + self.position(depth) + self.again(occurrences(items))
        x, read = self.encoder(self.dropout(x), at)
        states = self.norm(read)  # (B, T, D)
        if support is None:
            support = self.support[:, items.long()].transpose(0, 1)  # (B, E, L)
        balance = self.balance[buckets(at, items.shape[1], items.device)]  # (1 or B, T, 1 + E)
        copies = self.copy(states, vectors, x, items, at) + balance[..., :1]
        rules = self.rules(states, items, support.long(), at)
        return States(states, copies, rules + balance[..., 1:].movedim(-1, 1)[..., None])
