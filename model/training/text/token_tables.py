"""The token tables: the token ids of each item's title and each action type's name.

They are made once, in training, so that serving needs no tokenizer.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.errors import ScorerError
from model.networks.text import NO_TOKEN
from model.networks.text_encoder import TextEncoder

Tokens = npt.NDArray[np.int32]

MOST_TITLE_TOKENS = 16  # per item
MOST_ACTION_TOKENS = 3
MOST_TOKENS = 64  # per input of the encoder
MULTIPLE = 8
_SPARE_POSITIONS = 2  # RoBERTa counts its positions from 2


class TokenTables(NamedTuple):
    """Token ids, a row for each code, padded with NO_TOKEN."""

    items: Tokens  # (V + 2, T), [UNK] for the unknown item and items without text
    actions: Tokens  # (action types + 1, A)
    marks: tuple[int, int, int]  # [CLS], [SEP], [PAD]

    def most_tokens(self, last_items: int, positions: int) -> int:
        """The input length for the last items, within the encoder's positions."""
        widest: int = 1 + last_items * (self.items.shape[1] + self.actions.shape[1] + 1)
        rounded = -(-min(widest, MOST_TOKENS) // MULTIPLE) * MULTIPLE
        return min(rounded, positions - _SPARE_POSITIONS)


def token_tables(encoder: TextEncoder, texts: Sequence[str], actions: Sequence[str]) -> TokenTables:
    """Build the tables of these texts, in catalogue order, and actions.

    Raises ``ScorerError`` if the encoder's tokenizer has no [CLS], [SEP] or [PAD] token.
    """
    tokenizer = encoder.tokenizer
    marks = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    if None in marks:
        raise ScorerError(
            f"{encoder.source.name}: its tokenizer lacks [CLS], [SEP] or [PAD], the special tokens "
            "of the BERT family; choose another encoder"
        )
    unknown = [tokenizer.unk_token_id]
    titles = [ids or unknown for ids in _plain(tokenizer, texts, MOST_TITLE_TOKENS)]
    words = _plain(tokenizer, [name.replace("_", " ") for name in actions], MOST_ACTION_TOKENS)
    return TokenTables(_table([[], unknown, *titles]), _table([[], *words]), marks)


def _plain(tokenizer: Any, texts: Sequence[str], most: int) -> list[list[int]]:
    """The token ids of each text, truncated, without special tokens."""
    found = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    return [ids[:most] for ids in found]


def _table(rows: list[list[int]]) -> Tokens:
    width = max(1, *map(len, rows))
    table = np.full((len(rows), width), NO_TOKEN, dtype=np.int32)
    for row, ids in zip(table, rows, strict=True):
        row[: len(ids)] = ids
    return table
