"""The token tables: what the text network reads of each item and each action type.

They are made once, in training, so that whoever serves needs no tokenizer.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.errors import ScorerError
from model.networks.text import NO_TOKEN
from model.networks.text_encoder import TextEncoder

Tokens = npt.NDArray[np.int32]

MOST_TITLE_TOKENS = 16  # of one item
MOST_ACTION_TOKENS = 3
MOST_TOKENS = 64  # of all that is read at once
MULTIPLE = 8
_SPARE_POSITIONS = 2  # RoBERTa counts its positions from 2


class TokenTables(NamedTuple):
    """Token ids, a row for each code, NO_TOKEN where a row is shorter than the longest."""

    items: Tokens  # (V + 2, T), the unknown item and those without a text read "unknown"
    actions: Tokens  # (action types + 1, A)
    marks: tuple[int, int, int]  # begin, part, pad

    def most_tokens(self, last_items: int, positions: int) -> int:
        """How much so many items take at most, if the encoder has as many positions."""
        widest: int = 1 + last_items * (self.items.shape[1] + self.actions.shape[1] + 1)
        rounded = -(-min(widest, MOST_TOKENS) // MULTIPLE) * MULTIPLE
        return min(rounded, positions - _SPARE_POSITIONS)


def token_tables(encoder: TextEncoder, texts: Sequence[str], actions: Sequence[str]) -> TokenTables:
    """The tables of these items, in catalogue order, and actions.

    Raises ``ScorerError`` if the encoder has no marks to begin, part and pad with.
    """
    tokenizer = encoder.tokenizer
    marks = (tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id)
    if None in marks:
        raise ScorerError(
            f"{encoder.source.name}: its tokenizer has no tokens to begin, part and pad with, "
            "as those of the BERT family have; choose another encoder"
        )
    unknown = [tokenizer.unk_token_id]
    titles = [ids or unknown for ids in _plain(tokenizer, texts, MOST_TITLE_TOKENS)]
    words = _plain(tokenizer, [name.replace("_", " ") for name in actions], MOST_ACTION_TOKENS)
    return TokenTables(_table([[], unknown, *titles]), _table([[], *words]), marks)


def _plain(tokenizer: Any, texts: Sequence[str], most: int) -> list[list[int]]:
    """The token ids of each text, without marks, cut off."""
    found = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    return [ids[:most] for ids in found]


def _table(rows: list[list[int]]) -> Tokens:
    width = max(1, *map(len, rows))
    table = np.full((len(rows), width), NO_TOKEN, dtype=np.int32)
    for row, ids in zip(table, rows, strict=True):
        row[: len(ids)] = ids
    return table
