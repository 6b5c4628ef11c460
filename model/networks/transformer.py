"""The default network: a causal transformer over the window, with experts and heads on top.

Self-attentive sequential recommendation (Kang and McAuley, "Self-Attentive Sequential
Recommendation", ICDM 2018) with pre-norm blocks, SwiGLU (Shazeer, 2020), a learned bias for each
distance (Raffel et al., JMLR 2020) and item vectors of unit length.
"""

import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from model.networks.experts import (
    FIRST_ITEM,
    MOST_OCCURRENCES,
    Copy,
    Generate,
    deepest,
    depths,
    distances,
    join,
    occurrences,
)
from model.networks.network import Servable

if TYPE_CHECKING:
    from model.config import ArtifactConfig


class TransformerConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """All it takes to rebuild the network; the defaults are those of the recipe."""

    model_type = "lately-transformer"

    def __init__(
        self,
        *,
        items: int = 1,  # V: the catalogue, without the codes for padding and unknown
        categories: int = 0,  # C
        actions: int = 3,  # kinds, without the code for padding
        gap_buckets: int = 23,  # without the code for padding
        intents: int = 2,
        max_length: int = 52,  # L: the widest padded batch
        width: int = 64,  # D
        heads: int = 2,
        blocks: int = 1,
        dropout: float = 0.3,
        **kwargs: Any,
    ) -> None:
        if width % heads:
            raise ValueError(f"width is {width}, expected a multiple of the {heads} heads")
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(**kwargs)
        self.items = items
        self.categories = categories
        self.actions = actions
        self.gap_buckets = gap_buckets
        self.intents = intents
        self.max_length = max_length
        self.width = width
        self.heads = heads
        self.blocks = blocks
        self.dropout = dropout


class States(NamedTuple):
    """What the network knows at T positions of each sequence."""

    states: Tensor  # (B, T, D)
    copies: Tensor  # (B, T, L) logits, see experts.Copy


class Block(nn.Module):
    """Attention over the past, then a gated feed-forward layer, each after a norm."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        inner = 4 * math.ceil(2 * width / 3)  # as many weights as a plain layer with 4·D
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.distance = nn.Parameter(torch.zeros(config.max_length, config.heads))
        self.feed_norm = nn.LayerNorm(width)
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, at: Tensor | None = None) -> Tensor:
        """From the inputs x (B, L, D), the outputs at the positions ``at`` (B, T), else at all.

        Padding stands right, after every position anybody looks from, so the causal bias is all
        the masking there is.
        """
        normed = self.attention_norm(x)
        key, value = map(self._split, self.key_value(normed).chunk(2, dim=-1))
        seen, asking = (x, normed) if at is None else (pick(x, at), pick(normed, at))
        attended = functional.scaled_dot_product_attention(
            self._split(self.query(asking)), key, value, attn_mask=self._bias(at, x)
        )  # (B, H, T, D/H)
        seen = seen + self.dropout(self.output(attended.transpose(1, 2).flatten(2)))
        gate, up = self.gate_up(self.feed_norm(seen)).chunk(2, dim=-1)
        out: Tensor = seen + self.dropout(self.down(functional.silu(gate) * up))
        return out

    def _split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def _bias(self, at: Tensor | None, x: Tensor) -> Tensor:
        distance = distances(at, x.shape[1], x.device)  # (1 or B, T, L)
        bias = self.distance[distance.clamp(min=0)].movedim(-1, 1)  # (1 or B, H, T, L)
        return bias.masked_fill((distance < 0)[:, None], -torch.inf)


class TransformerModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """From an encoded window to the next item, its category, and what the user is about to do.

    Items go in and out through one table of vectors: id embedding plus category embedding, scaled
    to unit length.
    """

    config_class = TransformerConfig
    base_model_prefix = "transformer"
    _tied_weights_keys = {"out.weight": "item.weight"}  # noqa: RUF012 - the library's way
    item_attribute: Tensor  # (V + 2,) by item code: 0 none, else category + 1

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__(config)
        width, codes = config.width, config.items + FIRST_ITEM
        self.item = nn.Embedding(codes, width, padding_idx=0)
        self.out = nn.Linear(width, codes)  # the bias says how popular an item is
        self.attribute = nn.Embedding(config.categories + 1, width, padding_idx=0)  # 0: none
        self.register_buffer("item_attribute", torch.zeros(codes, dtype=torch.int64))
        self.action = nn.Embedding(config.actions + 1, width, padding_idx=0)
        self.gap = nn.Embedding(config.gap_buckets + 1, width, padding_idx=0)
        self.position = nn.Embedding(deepest(config.max_length) + 1, width)
        self.again = nn.Embedding(MOST_OCCURRENCES + 1, width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(width)
        self.generate = Generate(width)
        self.copy = Copy(width, config.max_length)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a shop without categories has a head without rows
            self.category = nn.Linear(width, config.categories)
            self.intent = nn.Sequential(
                nn.Linear(width, width), nn.SiLU(), nn.Linear(width, config.intents)
            )
        self._start()
        self.post_init()  # type: ignore[no-untyped-call]

    def _start(self) -> None:
        for table in (self.item, self.attribute):
            nn.init.normal_(table.weight, std=1 / math.sqrt(self.config.width))
        for table in (self.action, self.gap, self.position, self.again):
            nn.init.normal_(table.weight, std=0.3)
        for table in (self.item, self.attribute, self.action, self.gap):
            with torch.no_grad():
                table.weight[0].zero_()
        nn.init.zeros_(self.out.bias)

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: the modules start themselves, the same under every version of the library."""

    def get_input_embeddings(self) -> nn.Module:
        """The item table, codes in."""
        return self.item

    def get_output_embeddings(self) -> nn.Module:
        """The item table, scores out; tied to the input."""
        return self.out

    def serving(self, config: "ArtifactConfig") -> Servable:
        """See ``network.Network``."""
        from model.serving.graph import ServingGraph  # late: it looks at this module

        return ServingGraph(self, config).eval()

    def set_item_categories(self, categories: Tensor) -> None:
        """Say which category each item of the catalogue has: (V,) indices, -1 for none."""
        self.item_attribute[FIRST_ITEM:] = categories.to(self.item_attribute) + 1

    def item_vectors(self, codes: Tensor | None = None) -> Tensor:
        """The unit vectors of these item codes (all, (V + 2, D), if None); padding's is 0."""
        if codes is None:
            ids, attributes = self.out.weight, self.item_attribute
        else:
            ids = functional.embedding(codes, self.out.weight)
            attributes = self.item_attribute[codes]
        return functional.normalize(ids + self.attribute(attributes), dim=-1)

    def encode(
        self, items: Tensor, actions: Tensor, gaps: Tensor, vectors: Tensor | None = None
    ) -> States:
        """States at every position, for training: T = L.

        ``vectors`` (B, L, D) may hold the items' vectors, if they are made already.
        """
        if vectors is None:
            vectors = self.item_vectors(items.long())
        return self._look(items, actions, gaps, vectors)

    def forward(
        self,
        items: Tensor,
        actions: Tensor,
        gaps: Tensor,
        lengths: Tensor,
        vectors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What comes next after the newest action of each sequence, for serving.

        Inputs are codes as ``model.features`` makes them: (B, L), padded right, lengths (B,).
        ``vectors`` may hold ``item_vectors()``, so that a frozen network need not make them each
        time. Returns probabilities over the catalogue (B, V), category logits (B, C) and intent
        logits (B, 2). A sequence of length 0 gets a finite answer without a meaning.
        """
        table = self.item_vectors() if vectors is None else vectors
        newest = (lengths.long() - 1).clamp(min=0)[:, None]  # (B, 1)
        states, copies = self._look(items, actions, gaps, table[items.long()], newest)
        state = states[:, 0]  # (B, D)
        scores = functional.linear(
            self.generate(state), table[FIRST_ITEM:], self.out.bias[FIRST_ITEM:]
        )
        return join(scores, copies[:, 0], items), self.category(state), self.intent(state)

    def _look(
        self,
        items: Tensor,
        actions: Tensor,
        gaps: Tensor,
        vectors: Tensor,
        at: Tensor | None = None,
    ) -> States:
        # The gap at a position ends with the next action: it is only told there, one later.
        waited = functional.pad(gaps[:, :-1], (1, 0))
        x = vectors * (math.sqrt(self.config.width) / 2)  # (B, L, D)
        x = x + self.action(actions.long()) + self.gap(waited.long())
        depth = depths(None, items.shape[1], self.config.max_length, items.device)
        x = x + self.position(depth) + self.again(occurrences(items))
        x = self.dropout(x)
        for block in self.blocks[:-1]:
            x = block(x)
        states = self.norm(self.blocks[-1](x, at))  # (B, T, D)
        return States(states, self.copy(states, vectors, x, items, at))


def pick(x: Tensor, at: Tensor) -> Tensor:
    """The rows of x (B, L, D) at the positions ``at`` (B, T): (B, T, D)."""
    return x.gather(1, at[..., None].expand(-1, -1, x.shape[-1]))


AutoConfig.register(TransformerConfig.model_type, TransformerConfig)
AutoModel.register(TransformerConfig, TransformerModel)
