"""The text network: a pretrained BERT reads the titles of the user's last items.

Devlin et al., "BERT" (NAACL 2019), over ``[CLS] action title [SEP] action title [SEP] …``, the
newest first. Next items are found among their own frozen text vectors, so an item that nobody
has acted on yet is scored from its title alone.
"""

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from model.features import FIRST_ITEM
from model.networks.experts import FIRST_COPY_LOGIT, Generate, join

NO_TOKEN = -1  # fills up the rows of the token tables


class TextConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """All it takes to rebuild the network; ``encoder`` is the BERT's own configuration."""

    model_type = "lately-bert"

    def __init__(
        self,
        *,
        items: int = 1,  # V: the catalogue, without the codes for padding and unknown
        categories: int = 0,  # C
        actions: int = 3,  # action types, without the code for padding
        gap_buckets: int = 23,  # without the code for padding
        intents: int = 2,
        encoder: dict[str, Any] | None = None,
        source: dict[str, str] | None = None,  # see text_encoder.TextSource
        marks: tuple[int, int, int] = (101, 102, 0),  # token ids that begin, part and pad
        last_items: int = 5,  # K: the network looks no further back
        title_tokens: int = 16,  # of one item
        action_tokens: int = 1,  # of one action type
        most_tokens: int = 64,  # M: of all that BERT reads; what is oldest is cut off
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.items = items
        self.categories = categories
        self.actions = actions
        self.gap_buckets = gap_buckets
        self.intents = intents
        self.encoder = dict(encoder or {"model_type": "bert"})
        self.source = dict(source or {})
        self.marks = list(marks)
        self.last_items = last_items
        self.title_tokens = title_tokens
        self.action_tokens = action_tokens
        self.most_tokens = most_tokens


class Last(NamedTuple):
    """The codes of the last K actions, the newest first; 0 where there were fewer."""

    items: Tensor  # (B, K)
    actions: Tensor  # (B, K)
    waited: Tensor  # (B, K) the gap before each

    @classmethod
    def of(
        cls, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor, count: int
    ) -> "Last":
        """Out of windows (B, L), lengths (B,)."""
        place = lengths.long()[:, None] - 1 - torch.arange(count, device=items.device)

        def at(codes: Tensor, place: Tensor) -> Tensor:
            return codes.long().gather(1, place.clamp(min=0)) * (place >= 0)

        # The gap at a position ends with the next action.
        return cls(at(items, place), at(actions, place), at(gaps, place - 1))

    def again(self) -> Tensor:
        """(B, K) 1 where an older one of the K is of the same known item."""
        count = self.items.shape[1]
        older = torch.ones(count, count, device=self.items.device).triu(diagonal=1)
        same = self.items[:, :, None] == self.items[:, None, :]  # (B, K, K)
        found = (same.to(older.dtype) * older).sum(2) > 0
        return (found & (self.items >= FIRST_ITEM)).long()


class Context(nn.Module):
    """What titles do not tell of the K actions: their types, the gaps, what came again."""

    def __init__(self, config: TextConfig, width: int) -> None:
        super().__init__()
        self.sizes = (config.actions + 1, config.gap_buckets + 1, 2)
        tables = [nn.Embedding(config.last_items * size, width) for size in self.sizes]
        for table in tables:
            nn.init.normal_(table.weight, std=0.02)
        self.tables = nn.ModuleList(tables)

    def forward(self, last: Last) -> Tensor:
        """The sum of one vector for each code at each of the K positions: (B, D)."""
        place = torch.arange(last.items.shape[1], device=last.items.device)
        total = torch.zeros((), device=last.items.device)
        codes = (last.actions, last.waited, last.again())
        for table, size, code in zip(self.tables, self.sizes, codes, strict=True):
            # One after another: ONNX Runtime's ReduceSum takes a single row in another order.
            total = total + table(place * size + code).cumsum(1)[:, -1]
        return total


class TextModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """From an encoded window to the next item, its category, and what the user is about to do.

    The token ids of each title and the text vector of each item are kept as tables, so whoever
    serves needs no tokenizer.
    """

    config_class = TextConfig
    base_model_prefix = "text"
    _supports_sdpa = True
    item_tokens: Tensor  # (V + 2, T) by item code, NO_TOKEN where a title is shorter
    action_words: Tensor  # (action types + 1, A) by action code
    item_vectors: Tensor  # (V + 2, D) of unit length, or 0 without a text

    def __init__(self, config: TextConfig) -> None:
        super().__init__(config)
        inner = AutoConfig.for_model(**config.encoder)
        width, codes = inner.hidden_size, config.items + FIRST_ITEM
        self.encoder = AutoModel.from_config(inner)  # type: ignore[no-untyped-call]
        for name, rows, tokens in (
            ("item_tokens", codes, config.title_tokens),
            ("action_words", config.actions + 1, config.action_tokens),
        ):
            table = torch.full((rows, tokens), NO_TOKEN, dtype=torch.int32)
            self.register_buffer(name, table)
        self.register_buffer("item_vectors", torch.zeros(codes, width))
        self.norm = nn.LayerNorm(width)
        self.context = Context(config, width)
        self.generate = Generate(width)
        self.bias = nn.Parameter(torch.zeros(config.items))  # how popular an item is
        self.copy = nn.Linear(width, config.last_items)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a shop without categories has a head without rows
            self.category = nn.Linear(width, config.categories)
        self.intent = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, config.intents)
        )
        self._start()
        self.post_init()  # type: ignore[no-untyped-call]

    def _start(self) -> None:
        # At first the user's vector is that of what was read: near it are texts like it.
        nn.init.eye_(self.generate.query.weight)
        nn.init.zeros_(self.copy.weight)
        nn.init.constant_(self.copy.bias, FIRST_COPY_LOGIT)

    def _init_weights(self, module: nn.Module) -> None:
        """Nothing: the modules start themselves, the same under every version of the library."""

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What comes next after the newest action of each sequence.

        Inputs are codes as ``model.features`` makes them: (B, L), padded right, lengths (B,).
        Returns probabilities over the catalogue (B, V), category logits (B, C), intent logits
        (B, A) and user vectors (B, D). A sequence of length 0 gets a finite answer without a
        meaning.
        """
        last = Last.of(items, actions, gaps, lengths, self.config.last_items)
        return self.answer(self.read(last), last)

    def read(self, last: Last, *, trim: bool = False) -> Tensor:
        """The states (B, D) after these actions.

        ``trim`` lets BERT read no wider than the longest text of the batch: faster, but then a
        state may differ in the seventh digit from one batch to the next.
        """
        tokens, mask = self.texts(last)
        if trim:
            longest = int(mask.sum(1).max())
            tokens, mask = tokens[:, :longest], mask[:, :longest]
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        share = mask.to(hidden.dtype) / mask.sum(1, keepdim=True)
        mean = (share[:, None] @ hidden)[:, 0]  # a multiply, for a sum depends on the batch
        state: Tensor = self.norm(mean) + self.context(last)
        return state

    def texts(self, last: Last) -> tuple[Tensor, Tensor]:
        """What BERT reads of these actions: token ids and mask, (B, M) each, no gaps between."""
        begin, part, padding = self.config.marks
        most, batch = self.config.most_tokens, last.items.shape[0]
        parts = torch.where(last.items > 0, part, NO_TOKEN)[:, :, None]
        words = [self.action_words[last.actions], self.item_tokens[last.items], parts]
        spread = torch.cat([part.long() for part in words], dim=2).flatten(1)
        spread = functional.pad(spread, (1, 0), value=begin)
        real = spread != NO_TOKEN
        count = real.long().cumsum(1)  # (B, N)
        place = torch.where(real, count - 1, most).clamp(max=most)  # the last column is cut off
        tokens = torch.full((batch, most + 1), padding, device=spread.device)
        tokens = tokens.scatter(1, place, spread)[:, :most]
        mask = torch.arange(most, device=spread.device) < count[:, -1:]
        return tokens, mask.long()

    def answer(self, states: Tensor, last: Last) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What ``forward`` returns, from the states (B, D) after these actions."""
        query = self.generate(states)
        scores = functional.linear(query, self.item_vectors[FIRST_ITEM:], self.bias)
        shares = join(scores, [self.copies(states, last)], [last.items])
        return shares, self.category(states), self.intent(states), query

    def copies(self, states: Tensor, last: Last) -> Tensor:
        """The logits (B, K) for each of the K items to come again, see ``experts.join``."""
        logits: Tensor = self.copy(states)
        return logits.masked_fill(last.items < FIRST_ITEM, -torch.inf)


AutoConfig.register(TextConfig.model_type, TextConfig)
AutoModel.register(TextConfig, TextModel)
