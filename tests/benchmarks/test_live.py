"""The live benchmark: what is judged, by which score, and what the rules list."""

from collections.abc import Sequence as Batch
from pathlib import Path

import pytest

from benchmarks.quality.live import Tally, judge, read, walk
from model.errors import DataError
from model.scorer import Score
from model.sequence import Sequence

HEADER = "action_time,user_id,sku_id,type,sessionId,index\n"


class Stub:
    """Lists the item ``a`` for everybody."""

    def score(self, batch: Batch[Sequence], /) -> list[Score]:
        return [Score([("a", 0.5)], [], {}, "full") for _ in batch]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two users: ann looks at a, b, a; bob at b, then follows it, then orders b."""
    rows = [
        "2018-03-01 10:00:00,ann,a,1,1,0",
        "2018-03-01 10:00:01,bob,b,1,2,0",
        "2018-03-01 10:00:02,ann,b,1,1,0",
        "2018-03-01 10:00:03,bob,b,3,2,0",
    ]
    (tmp_path / "train.csv").write_text(HEADER + "\n".join(rows) + "\n")
    late = ["2018-03-01 10:00:05,bob,b,2,2,0", "2018-03-01 10:00:04,ann,a,1,1,0"]
    (tmp_path / "test_with_new_items.csv").write_text(HEADER + "\n".join(late) + "\n")
    return tmp_path


def test_rows_of_both_files_come_in_the_order_of_their_times(folder: Path) -> None:
    events = read(folder)

    assert [(row["user_id"], row["item_id"]) for row in events] == [
        ("ann", "a"),
        ("bob", "b"),
        ("ann", "b"),
        ("ann", "a"),
        ("bob", "b"),
    ]


def test_an_event_is_judged_by_the_score_before_it_and_a_first_one_is_not(folder: Path) -> None:
    judged = list(walk(read(folder)))

    assert [(one.before.items, one.item) for one in judged] == [
        (("a",), "b"),
        (("a", "b"), "a"),
        (("b",), "b"),
    ]
    # Popular so far, the judged event not included: a and b once; b twice; b and a twice.
    assert [one.popular for one in judged] == [["a", "b"], ["b", "a"], ["a", "b"]]


def test_scores_and_rules_are_judged_on_the_same_events(folder: Path) -> None:
    figures = judge(Stub(), {"a"}, list(walk(read(folder))))

    # The stub is right once of three; newest first lists b, a for ann's last and b for bob's.
    assert figures["all scores"]["hit@1"] == pytest.approx(1 / 3)
    assert figures["newest first"]["hit@1"] == pytest.approx(1 / 3)
    assert figures["newest first"]["hit@5"] == pytest.approx(2 / 3)
    assert figures["newest first"]["mrr@20"] == pytest.approx((1 / 2 + 1) / 3)
    assert figures["users of unknown items alone"]["n"] == 1  # bob


def test_a_rank_beyond_twenty_counts_nothing() -> None:
    tally = Tally()
    tally.add([str(place) for place in range(30)], "20")

    assert tally.figures() == {"n": 1, "hit@1": 0, "hit@5": 0, "hit@20": 0, "mrr@20": 0}


def test_a_folder_without_the_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.csv: cannot be read"):
        read(tmp_path)
