"""The folder: reads a public data set as training data and questions, one reader per format."""

import json
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.data.dataset import NO_NEXT, Histories, Period, label
from model.errors import DataError
from model.training.training_data import TrainingData

HELD_OUT = 0.1  # the newest share of the sessions
PAUSE_MS = 60_000  # between two events of a file that has no times
CONFIG = ArtifactConfig(name="lately", actions=("click",), intents=())
Sequences = list[list[str]]


class Question(NamedTuple):
    """A sequence of items and the one that came next."""

    items: list[str]
    target: str


class Task(NamedTuple):
    """A benchmark task: the training data, the questions and the protocol."""

    protocol: str
    data: TrainingData
    questions: list[Question]
    exclude_seen: bool


def read_s3rec(folder: Path) -> Task:
    """Leave one out: a user's last item is the target, the last but one is held out.

    Each line of ``sequences.txt`` has a user and their items, oldest first; optional are
    ``item2attributes.json``, from items to lists of values, and ``item_text.tsv`` with a header,
    the item in its first column and the text in its last one.
    """
    sequences = [line.split()[1:] for line in _lines(folder / "sequences.txt")]
    sequences = [sequence for sequence in sequences if len(sequence) > 1]
    catalogue = _catalogue(sequences, [sequence[:-1] for sequence in sequences])
    learnt = _histories([sequence[:-2] for sequence in sequences], catalogue)
    whole = _histories([sequence[:-1] for sequence in sequences], catalogue)
    ends = whole.offsets[1:]
    asks = np.zeros(len(whole.items), dtype=np.bool_)
    asks[ends[np.diff(whole.offsets) > 1] - 2] = True  # the held-out item comes next
    data = _data(folder, catalogue, learnt, whole, asks)
    questions = [Question(sequence[:-1], sequence[-1]) for sequence in sequences]
    return Task("leave one out, all items ranked, seen masked", data, questions, exclude_seen=True)


def read_sessions(folder: Path) -> Task:
    """All prefixes of the test sessions; the last tenth of the training sessions is held out.

    Each line of ``train_sessions.txt`` has the items of a session, the sessions oldest first; each
    line of ``test_prefixes.txt`` a prefix, a tab, and the next item. Both names may have a prefix.
    Optional is ``item_attributes.tsv``: a header, then the item and its values.
    """
    train, test = (_only(folder, f"*{name}.txt") for name in ("train_sessions", "test_prefixes"))
    sessions = [line.split() for line in _lines(train)]
    catalogue = _catalogue(sessions, sessions)
    whole = _histories(sessions, catalogue)
    cut = max(1, round(len(sessions) * (1 - HELD_OUT)))
    learnt = _histories(sessions[:cut], catalogue)
    asks = np.arange(len(whole.items)) >= whole.offsets[cut]
    data = _data(folder, catalogue, learnt, whole, asks)
    pairs = (line.split("\t") for line in _lines(test))
    questions = [Question(prefix.split(), target.strip()) for prefix, target in pairs]
    return Task("all prefixes, all items ranked, nothing masked", data, questions, False)


def _data(
    folder: Path,
    catalogue: Catalogue,
    learnt: Histories,
    whole: Histories,
    asks: npt.NDArray[np.bool_],
) -> TrainingData:
    span = Period(0, int(whole.times_ms.max()) + 1)
    labels = label(whole, span, CONFIG)
    held_out = labels._replace(
        next_items=np.where(asks, labels.next_items, NO_NEXT).astype(np.int32)
    )
    return TrainingData(
        catalogue=catalogue,
        held_out=span,
        learnt=learnt,
        learnt_labels=label(learnt, span, CONFIG),
        whole=whole,
        held_out_labels=held_out,
        whole_labels=labels,
        texts=_texts(folder / "item_text.tsv", catalogue),
        attributes=_attributes(folder, catalogue),
        fingerprint="",
    )


def _histories(sequences: Sequences, catalogue: Catalogue) -> Histories:
    lengths = np.array([len(sequence) for sequence in sequences if sequence], dtype=np.int64)
    items = catalogue.codes(list(chain.from_iterable(sequences)))
    return Histories(
        items.astype(np.int32),
        np.zeros(len(items), dtype=np.int8),
        np.arange(len(items), dtype=np.int64) * PAUSE_MS,
        np.concatenate([[0], np.cumsum(lengths)]),
    )


def _catalogue(sequences: Sequences, learnt: Sequences) -> Catalogue:
    """All items of the sequences, with their counts in the training part."""
    counts = Counter(chain.from_iterable(learnt))
    items = sorted(set(chain.from_iterable(sequences)))
    return Catalogue.from_names(items, [None] * len(items), [counts[item] for item in items])


def _texts(path: Path, catalogue: Catalogue) -> tuple[str, ...]:
    if not path.exists():
        return ("",) * len(catalogue)
    rows = (line.split("\t") for line in _lines(path)[1:])
    text_of = {row[0]: row[-1].strip() for row in rows}
    return tuple(text_of.get(item, "") for item in catalogue.items)


def _attributes(folder: Path, catalogue: Catalogue) -> tuple[tuple[str, ...], ...]:
    listed, table = folder / "item2attributes.json", folder / "item_attributes.tsv"
    values: dict[str, tuple[str, ...]] = {}
    if listed.exists():
        for item, own in json.loads(listed.read_text(encoding="utf-8")).items():
            values[item] = tuple(map(str, own))
    elif table.exists():
        header, *rows = (line.rstrip("\n").split("\t") for line in _lines(table))
        for item, *own in rows:
            named = zip(header[1:], own, strict=False)
            values[item] = tuple(f"{name}={value}" for name, value in named if value)
    return tuple(values.get(item, ()) for item in catalogue.items)


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise DataError(f"{folder}: has {len(found)} files {pattern}, expected one")
    return found[0]


def _lines(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8") as lines:
            return [line for line in lines if line.strip()]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); see --help") from None
