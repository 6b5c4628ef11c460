"""The verdict of an evaluation, in sentences, in JSON, on a terminal and on a page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.baselines.newest_first import NewestFirst
from model.errors import DataError
from model.evaluation.exam import Answers, Exam
from model.evaluation.figures import Threshold, judge
from model.evaluation.run import Judged
from model.evaluation.summary import summary
from model.evaluation.verdict import Difference, Verdict, decide, sentences
from model.evaluation.web_page import write_page
from tests.model.shop_log import CATALOGUE, CONFIG, EVER, Spy, histories

THRESHOLDS = {"cart": Threshold(0.5, "nothing"), "buy": Threshold(0.5, "nothing")}
USERS = ["aaaa", "abab", "bbbb", "abba"] * 10


def judged(lists: str, chance_of_buy: float = 0.5) -> tuple[Judged, Verdict]:
    """An evaluation of a model that lists the same items for everybody.

    Every second user buys with their last event; the popular rule knows no user.
    """
    log = histories(*USERS)
    actions = np.zeros(len(log.items), np.int8)
    actions[log.offsets[1::2] - 1] = 2
    exam = Exam.of(log._replace(actions=actions), CATALOGUE, CONFIG, EVER)
    model = exam.ask_scorer(Spy(lists, "model"))
    assert model.chances is not None
    model.chances[:, 1] = np.where(exam.questions.intents[:, 1] == 1, chance_of_buy, 0.1)
    nobody = Answers(np.full_like(model.items, -1), np.full(model.chances.shape, 0.3))
    answers = {
        "model": model,
        "popularity": nobody,
        "newest_first": exam.ask_baseline(NewestFirst()),
    }
    evaluation = judge(exam, answers, np.ones(3, dtype=np.bool_), THRESHOLDS)
    return Judged(exam, answers, evaluation), decide(exam, answers, evaluation)


def verdict(**changes: object) -> Verdict:
    found = Verdict("model", 900, 0.25, Difference("rules", 0.02, (0.01, 0.03)), {}, [], [])
    return replace(found, **changes)  # type: ignore[arg-type]


def test_a_model_that_finds_what_no_rule_finds_is_better() -> None:
    _, found = judged("ab")

    # Newest first knows nobody's first item and no b after a alone: the model has all of them.
    assert found.best_rule is not None
    assert (found.best_rule.other, found.best_rule.sign) == ("newest_first", 1)
    assert "is better than the best rule, newest_first" in sentences(found)[0]
    assert sentences(found)[0].startswith("model lists the next item among its 20 for 100.0% of")


def test_a_model_that_finds_less_is_worse_and_fails_where_a_rule_does_not() -> None:
    _, found = judged("c")

    assert "is worse than the best rule, newest_first" in sentences(found)[0]
    assert "users with 1-4 actions, 0.0% of 120 (newest_first " in sentences(found)[2]


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.01, 0.03), "is better than the best rule, rules: +2.0 points (95 %: +1.0 to +3.0)"),
        ((-0.01, 0.05), "is no different from the best rule, rules: +2.0 points"),
        ((-0.03, -0.01), "is worse than the best rule"),
        (None, "25.0% of 900 questions and the best rule, rules, for 23.0%: fewer than 10 users"),
    ],
)
def test_the_interval_decides_not_the_difference(
    interval: tuple[float, float] | None, words: str
) -> None:
    assert words in sentences(verdict(best_rule=Difference("rules", 0.02, interval)))[0]


def test_an_intent_is_compared_with_a_constant() -> None:
    # 0.1 where nothing happens, and more or less than the constant 0.3 where something does.
    _, better = judged("ab", chance_of_buy=0.9)
    _, worse = judged("ab", chance_of_buy=0.01)

    assert "better than a constant for buy" in sentences(better)[1]
    assert "no better than a constant for buy" in sentences(worse)[1]
    assert "cannot be judged here for cart" in sentences(better)[1]  # nobody puts in the cart


def test_a_model_without_intents_says_so() -> None:
    assert sentences(verdict())[1] == "The model predicts no intent."


def test_a_log_without_a_next_item_is_no_defeat() -> None:
    assert sentences(verdict(best_rule=None))[0].startswith("No question has a next item")


def test_the_summary_begins_with_the_verdict_and_fits_eighty_columns() -> None:
    evaluated, found = judged("ab")
    lines = summary(evaluated.evaluation, found).splitlines()

    assert lines[0].startswith("model lists the next item")
    assert max(map(len, lines)) < 80
    assert any(line.split()[:2] == ["newest_first", "160"] for line in lines)
    assert any(line.startswith("buy: yes from 0.5000 on") for line in lines)


def test_the_json_has_the_sentences_and_their_evidence() -> None:
    fields = judged("ab")[1].to_json()

    assert len(fields["sentences"]) == 3
    assert fields["best_rule"]["other"] == "newest_first"


def test_the_page_is_one_file_with_every_figure_and_plot(tmp_path: Path) -> None:
    from model.evaluation import plots
    from model.evaluation.curves import Delayed

    evaluated, found = judged("ab")
    figures = {"late": lambda: plots.recall_by_delay([Delayed(0, 0.5, 0.4, 0.6, 9)])}
    write_page(tmp_path / "report.html", "a <shop>", evaluated, found, figures)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")

    assert page.startswith("<!doctype html>")
    assert "<title>a &lt;shop&gt;</title>" in page
    assert "<p>model lists the next item" in page
    assert "MRR@10" in page  # the whole table, which the terminal has no room for
    assert page.count("<svg") == 1
    assert "<?xml" not in page
    assert "src=" not in page  # nothing to fetch


def test_a_page_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path) -> None:
    evaluated, found = judged("ab")

    with pytest.raises(DataError, match=r"report\.html: cannot be written"):
        write_page(tmp_path / "missing" / "report.html", "", evaluated, found, {})
