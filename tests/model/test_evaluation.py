from collections.abc import Sequence as Batch

import numpy as np
import pytest

from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.dataset import Histories, Period
from model.evaluation import ask, evaluate, groups, rank
from model.evaluation_report import table
from model.scorer import ModelInfo, Score
from model.sequence import Sequence

CATALOGUE = Catalogue.from_names(["a", "b", "c"], [None] * 3, [1, 1, 1])
CONFIG = ArtifactConfig(max_length=3, horizon_s=10)
EVER = Period(-1, 1 << 60)


class Spy:
    """Says the same to all and remembers what it was asked."""

    def __init__(self, items: str, name: str = "spy") -> None:
        self.info = ModelInfo(name, "1", "cpu", CONFIG.horizon_s)
        self.asked: list[Sequence] = []
        self.items = items

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        self.asked += sequences
        best = [(item, 1 / len(self.items)) for item in self.items]
        return [Score(best, [], {"cart": 0.25, "buy": 0.5}, "full") for _ in sequences]


def histories(*users: str) -> Histories:
    """Users as strings of items, z being a stranger; one click a second, each user alone."""
    lengths = [len(user) for user in users]
    items = [CATALOGUE.index.get(item, -1) for user in users for item in user]
    return Histories(
        np.array(items, np.int32),
        np.zeros(len(items), np.int8),
        np.arange(len(items), dtype=np.int64) * 1000,
        np.cumsum([0, *lengths]),
    )


def asked_items(log: Histories, period: Period = EVER) -> list[str]:
    spy = Spy("abc")
    evaluate([spy], log, CATALOGUE, CONFIG, period)
    return ["".join(sequence.items) for sequence in spy.asked]


def test_each_event_is_predicted_from_what_came_before_it() -> None:
    assert sorted(asked_items(histories("abc"))) == ["", "a", "ab", "abc"]  # abc: intents


def test_only_the_newest_actions_are_shown() -> None:
    assert "abc" not in asked_items(histories("cabcb"))[:3]
    assert max(map(len, asked_items(histories("cabcb")))) == CONFIG.max_length


def test_events_before_the_period_are_history_and_not_asked_about() -> None:
    log = histories("abcab")  # seconds 0 to 4

    assert asked_items(log, Period(3_000, 3_500)) == ["abc", "bca"]  # for a, then b


def test_the_clock_is_that_of_the_last_action_known() -> None:
    spy = Spy("abc")
    evaluate([spy], histories("ab"), CATALOGUE, CONFIG, EVER)

    assert [(s.times_ms, s.now_ms) for s in spy.asked] == [
        ((), 0),
        ((0,), 0),
        ((0, 1000), 1000),
    ]


def test_a_score_is_ranked_by_where_it_names_the_next_item() -> None:
    score = Spy("bca").score([Sequence((), (), (), 0)])[0]

    assert [rank(score, item) for item in ("b", "a", "z")] == [1, 3, 0]


def test_figures_come_by_group() -> None:
    log = histories("abab", "c")
    found = evaluate([Spy("ab")], log, CATALOGUE, CONFIG, EVER)

    # asked for a, b, a, b (ranks 1, 2, 1, 2), and c, which is not named
    assert found.items["all"]["spy"]["mrr@20"] == pytest.approx((1 + 1 / 2 + 1 + 1 / 2 + 0) / 5)
    assert found.items["cold (no actions yet)"]["spy"]["recall@20"] == 1 / 2  # a, not c
    assert found.items["new to the window"]["spy"]["n"] == 3  # a, b, c
    assert found.items["5 and more"]["spy"]["n"] == 0


def test_an_item_that_the_catalogue_has_not_is_never_found() -> None:
    found = evaluate([Spy("ab")], histories("az"), CATALOGUE, CONFIG, EVER)

    assert found.items["1-4 actions"]["spy"]["recall@20"] == 0


def test_strangers_are_no_repeats_of_each_other() -> None:
    questions = ask(histories("azz"), CONFIG, EVER)

    assert groups(questions)["new to the window"].sum() == 3


def test_intents_are_judged_where_the_horizon_is_over() -> None:
    log = histories("aaaa")._replace(actions=np.array([0, 0, 2, 0], np.int8))  # buy at 2 s
    found = evaluate([Spy("a")], log, CATALOGUE, CONFIG, Period(-1, 12_500))

    buy = found.intents["buy"]["spy"]
    assert (buy["n"], buy["yes"]) == (3, 2)  # at 3 s it cannot be told
    assert buy["ece"] == pytest.approx(abs(2 / 3 - 0.5), abs=0.34)


def test_all_scorers_answer_the_same_questions_and_are_told_of() -> None:
    told: list[int] = []
    first, second = Spy("ab", "first"), Spy("ba", "second")

    evaluate([first, second], histories("ab", "c"), CATALOGUE, CONFIG, EVER, told.append)

    assert first.asked == second.asked
    assert told == [len(first.asked), 2 * len(first.asked)]


def test_the_table_is_aligned_and_leaves_empty_groups_out() -> None:
    text = table(
        evaluate([Spy("ab", "model"), Spy("c", "other")], histories("ab"), CATALOGUE, CONFIG, EVER)
    )

    lines = text.splitlines()
    assert lines[0].split() == [
        "next",
        "item",
        "n",
        "R@5",
        "R@10",
        "R@20",
        "N@10",
        "N@20",
        "MRR@20",
    ]
    assert lines[1] == "all"
    assert lines[2].split()[:3] == ["model", "2", "1.0000"]
    assert len(lines[2]) == len(lines[0])
    assert "5 and more" not in text
    assert "AUC" in text
    assert "–" in text  # no yes, no AUC
