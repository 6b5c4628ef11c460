"""The text network: a pretrained BERT reads the titles of the user's last items.

Devlin et al., "BERT" (NAACL 2019), over ``[CLS] action title [SEP] action title [SEP] …``, the
newest first. Items are scored against their frozen text vectors, so an item without any actions
is scored from its title alone.
"""

import warnings
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel

from model.features import FIRST_ITEM
from model.networks.experts import FIRST_COPY_LOGIT, Generate, join

NO_TOKEN = -1  # pads the rows of the token tables


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
        marks: tuple[int, int, int] = (101, 102, 0),  # token ids of [CLS], [SEP] and [PAD]
        last_items: int = 5,  # K: the newest actions, all that the network reads
        title_tokens: int = 16,  # per item
        action_tokens: int = 1,  # per action type
        most_tokens: int = 64,  # M: BERT's input length; the oldest tokens are cut off
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
    """The codes of the last K actions, newest first; 0 where there are fewer."""

    items: Tensor  # (B, K)
    actions: Tensor  # (B, K)
    waited: Tensor  # (B, K) the gap before each

    @classmethod
    def of(
        cls, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor, count: int
    ) -> "Last":
        """The last ``count`` actions of windows (B, L) of these lengths (B,)."""
        position = lengths.long()[:, None] - 1 - torch.arange(count, device=items.device)

        def at(codes: Tensor, position: Tensor) -> Tensor:
            return codes.long().gather(1, position.clamp(min=0)) * (position >= 0)

        # The gap at a position ends with the next action.
        return cls(at(items, position), at(actions, position), at(gaps, position - 1))

    def again(self) -> Tensor:
        """1 where an older one of the K actions has the same known item, (B, K)."""
        count = self.items.shape[1]
        older = torch.ones(count, count, device=self.items.device).triu(diagonal=1)
        same = self.items[:, :, None] == self.items[:, None, :]  # (B, K, K)
        found = (same.to(older.dtype) * older).sum(2) > 0
        return (found & (self.items >= FIRST_ITEM)).long()


class Context(nn.Module):
    """Embeds what titles do not carry of the K actions: action types, gaps, repeated items."""

    def __init__(self, config: TextConfig, width: int) -> None:
        super().__init__()
        self.sizes = (config.actions + 1, config.gap_buckets + 1, 2)
        tables = [nn.Embedding(config.last_items * size, width) for size in self.sizes]
        for table in tables:
            nn.init.normal_(table.weight, std=0.02)
        self.tables = nn.ModuleList(tables)

    def forward(self, last: Last) -> Tensor:
        """The sum of one vector for each code at each of the K positions: (B, D)."""
        position = torch.arange(last.items.shape[1], device=last.items.device)
        total = torch.zeros((), device=last.items.device)
        codes = (last.actions, last.waited, last.again())
        for table, size, code in zip(self.tables, self.sizes, codes, strict=True):
            # A running sum: ONNX Runtime's ReduceSum adds a single row in another order.
            total = total + table(position * size + code).cumsum(1)[:, -1]
        return total


class TextModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Predicts the next item, its category and the user's intents from an encoded window.

    The token ids of each title and the text vector of each item are stored as tables, so serving
    needs no tokenizer.
    """

    config_class = TextConfig
    base_model_prefix = "text"
    _supports_sdpa = True
    item_tokens: Tensor  # (V + 2, T) by item code, NO_TOKEN where a title is shorter
    action_words: Tensor  # (action types + 1, A) token ids by action code
    item_vectors: Tensor  # (V + 2, D) of unit length, or 0 for an item without text

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
        self.bias = nn.Parameter(torch.zeros(config.items))  # item popularity
        self.copy = nn.Linear(width, config.last_items)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a shop without categories gives a head of 0 rows
            self.category = nn.Linear(width, config.categories)
        self.intent = nn.Sequential(
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, config.intents)
        )
        self._start()
        self.post_init()  # type: ignore[no-untyped-call]

    def _start(self) -> None:
        # At first the user's vector is the vector of the text read, so similar texts score high.
        nn.init.eye_(self.generate.query.weight)
        nn.init.zeros_(self.copy.weight)
        nn.init.constant_(self.copy.bias, FIRST_COPY_LOGIT)

    def _init_weights(self, module: nn.Module) -> None:
        """Do nothing: the modules initialise themselves, alike in every version of the library."""

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Predict what follows the newest action of each sequence.

        Inputs are codes from ``model.features``: (B, L), padded right, lengths (B,). Returns
        probabilities over the catalogue (B, V), category logits (B, C), intent logits (B, A) and
        user vectors (B, D). The outputs for a sequence of length 0 are finite but meaningless.
        """
        last = Last.of(items, actions, gaps, lengths, self.config.last_items)
        return self.answer(self.read(last), last)

    def read(self, last: Last, *, trim: bool = False) -> Tensor:
        """The states (B, D) after these actions.

        ``trim`` cuts BERT's input to the longest text of the batch: faster, but a state may then
        differ in the seventh digit from one batch to the next.
        """
        tokens, mask = self.texts(last)
        if trim:
            longest = int(mask.sum(1).max())
            tokens, mask = tokens[:, :longest], mask[:, :longest]
        hidden = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state
        share = mask.to(hidden.dtype) / mask.sum(1, keepdim=True)
        mean = (share[:, None] @ hidden)[:, 0]  # a multiply: a sum's bits depend on the batch
        state: Tensor = self.norm(mean) + self.context(last)
        return state

    def texts(self, last: Last) -> tuple[Tensor, Tensor]:
        """BERT's input for these actions: token ids and mask, (B, M) each, without gaps."""
        begin, part, padding = self.config.marks
        most, batch = self.config.most_tokens, last.items.shape[0]
        parts = torch.where(last.items > 0, part, NO_TOKEN)[:, :, None]
        words = [self.action_words[last.actions], self.item_tokens[last.items], parts]
        spread = torch.cat([part.long() for part in words], dim=2).flatten(1)
        spread = functional.pad(spread, (1, 0), value=begin)
        real = spread != NO_TOKEN
        count = real.long().cumsum(1)  # (B, N)
        column = torch.where(real, count - 1, most).clamp(max=most)  # the last one is cut off
        tokens = torch.full((batch, most + 1), padding, device=spread.device)
        tokens = tokens.scatter(1, column, spread)[:, :most]
        mask = torch.arange(most, device=spread.device) < count[:, -1:]
        return tokens, mask.long()

    def answer(self, states: Tensor, last: Last) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute what ``forward`` returns from the states (B, D) after these actions."""
        query = self.generate(states)
        scores = functional.linear(query, self.item_vectors[FIRST_ITEM:], self.bias)
        shares = join(scores, [self.copies(states, last)], [last.items])
        return shares, self.category(states), self.intent(states), query

    def copies(self, states: Tensor, last: Last) -> Tensor:
        """The logits (B, K) that each of the K items is next again, see ``experts.join``."""
        logits: Tensor = self.copy(states)
        return logits.masked_fill(last.items < FIRST_ITEM, -torch.inf)


AutoConfig.register(TextConfig.model_type, TextConfig)
AutoModel.register(TextConfig, TextModel)
