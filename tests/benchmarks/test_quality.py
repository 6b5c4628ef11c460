import json
from collections.abc import Sequence as Batch
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.asking import ask_baselines, ask_scorer, figures
from benchmarks.quality.folder import Question, read_s3rec, read_sessions
from model.errors import DataError
from model.scorer import ANYTHING, ModelInfo, Score
from model.sequence import Sequence


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    """Ten visits; the last one is held out."""
    lines = ["a b c", *["a b"] * 8, "b c"]
    (tmp_path / "x_train_sessions.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "x_test_prefixes.txt").write_text("a b\tc\na\tb\nb\tnever seen\n")
    (tmp_path / "item_attributes.tsv").write_text("item\tbrand\tshop\na\t7\t\nb\t7\t9\n")
    return tmp_path


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    (tmp_path / "sequences.txt").write_text("1 a b c d\n2 b c a\n")
    (tmp_path / "item2attributes.json").write_text(json.dumps({"a": [3, 4]}))
    (tmp_path / "item_text.tsv").write_text("item\tasin\ttext\na\tB1\tred lamp\n")
    return tmp_path


def test_the_newest_tenth_of_the_visits_is_held_out(sessions: Path) -> None:
    task = read_sessions(sessions)
    held_out = task.data.held_out_labels.next_items

    assert task.data.catalogue.items == ("a", "b", "c")
    assert len(task.data.learnt.offsets) - 1 == 9
    assert np.flatnonzero(held_out != -2).tolist() == [len(held_out) - 2]  # b, then c
    assert task.questions[0] == Question(["a", "b"], "c")
    assert task.data.attributes == (("brand=7",), ("brand=7", "shop=9"), ())


def test_the_last_item_is_the_target_and_the_one_before_is_held_out(sequences: Path) -> None:
    task = read_s3rec(sequences)
    names = np.array(task.data.catalogue.items)

    assert task.exclude_seen
    assert task.questions == [Question(["a", "b", "c"], "d"), Question(["b", "c"], "a")]
    assert names[task.data.learnt.items].tolist() == ["a", "b", "b"]
    held_out = task.data.held_out_labels.next_items
    assert names[held_out[held_out >= 0]].tolist() == ["c", "c"]
    assert task.data.attributes[0] == ("3", "4")
    assert task.data.texts[0] == "red lamp"


def test_a_folder_without_the_files_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has 0 files"):
        read_sessions(tmp_path)
    with pytest.raises(DataError, match="cannot be read"):
        read_s3rec(tmp_path)


def test_an_unknown_target_counts_as_a_miss(sessions: Path) -> None:
    found = ask_baselines(read_sessions(sessions))

    # Of a b → c, a → b and b → never seen, the rules find two.
    assert found["rules"]["P@20"] == pytest.approx(100 * 2 / 3)


class Fixed:
    """A scorer that always answers a, then b."""

    info = ModelInfo("fixed", "1", "cpu", 60)
    vocabulary = ANYTHING

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        return [Score([("a", 0.5), ("b", 0.3)], [], {}, "full") for _ in sequences]


def test_ranks_are_positions_in_the_scorers_list(sessions: Path) -> None:
    task = read_sessions(sessions)
    ranks = ask_scorer(Fixed(), task, 50, lambda _: None)

    assert ranks.tolist() == [0, 2, 0]  # c, b, an unknown item
    assert figures(task, ranks) == {
        "P@20": pytest.approx(100 / 3),
        "MRR@20": pytest.approx(100 / 3 / 2),
    }
