"""The token tables: the token ids of each item and each action type."""

from pathlib import Path

import numpy as np
import pytest

from model.errors import ScorerError
from model.networks.text import NO_TOKEN
from model.networks.text_encoder import TextEncoder
from model.training.text.token_tables import MOST_TITLE_TOKENS, TokenTables, token_tables
from tests.model.tiny_bert import WORDS, write_tiny_bert

UNKNOWN = 1  # [PAD] [UNK] [CLS] [SEP] [MASK], then the words


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    return TextEncoder.open(write_tiny_bert(tmp_path_factory.mktemp("tokens") / "bert"))


def word(name: str) -> int:
    return 5 + WORDS.index(name)


def test_each_code_has_a_row_without_special_tokens(encoder: TextEncoder) -> None:
    tables = token_tables(encoder, ["Red lamp", ""], ["click", "buy"])

    nothing, red, lamp = NO_TOKEN, word("red"), word("lamp")
    assert tables.items.tolist() == [
        [nothing, nothing],  # padding
        [UNKNOWN, nothing],  # an unknown item
        [red, lamp],
        [UNKNOWN, nothing],  # an item without a text
    ]
    assert tables.actions.tolist() == [[nothing], [word("click")], [word("buy")]]
    assert tables.marks == (2, 3, 0)


def test_a_long_title_is_cut_and_an_action_may_be_several_words(encoder: TextEncoder) -> None:
    tables = token_tables(encoder, ["lamp " * 40], ["buy_large"])

    assert tables.items.shape == (3, MOST_TITLE_TOKENS)
    assert tables.actions[1].tolist() == [word("buy"), word("large")]


@pytest.mark.parametrize(
    ("title_tokens", "positions", "expected"),
    [
        (4, 512, 32),  # 1 + 5 · (4 + 1 + 1) = 31, to a multiple of 8
        (16, 512, 64),  # 1 + 5 · 18 = 91: too much
        (16, 40, 38),  # two positions are spare
    ],
)
def test_the_input_length_is_bounded(title_tokens: int, positions: int, expected: int) -> None:
    tables = TokenTables(
        np.zeros((3, title_tokens), np.int32), np.zeros((2, 1), np.int32), (2, 3, 0)
    )

    assert tables.most_tokens(5, positions) == expected


def test_an_encoder_without_special_tokens_is_refused(tmp_path: Path) -> None:
    encoder = TextEncoder.open(write_tiny_bert(tmp_path / "bert"))
    encoder.tokenizer.sep_token = None

    with pytest.raises(ScorerError, match="its tokenizer lacks"):
        token_tables(encoder, ["lamp"], ["click"])
