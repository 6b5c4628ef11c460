import numpy as np
import pytest

from model.baselines import BASELINES
from model.data.dataset import Histories, Period
from model.evaluation.exam import Exam
from model.evaluation.figures import Evaluation, Threshold, judge
from model.evaluation.report import table
from tests.model.shop_log import CATALOGUE, CONFIG, EVER, Spy, histories

THRESHOLDS = {"cart": Threshold(0.5, "nothing"), "buy": Threshold(0.5, "nothing")}


def evaluate(log: Histories, *spies: Spy, period: Period = EVER) -> Evaluation:
    exam = Exam.of(log, CATALOGUE, CONFIG, period)
    answers = {spy.info.name: exam.ask_scorer(spy) for spy in spies}
    answers["newest_first"] = exam.ask_baseline(BASELINES["newest_first"](log, 3))
    return judge(exam, answers, np.ones(3, dtype=np.bool_), THRESHOLDS)


def test_figures_are_grouped() -> None:
    found = evaluate(histories("abab", "c"), Spy("ab"))

    # targets a, b, a, b (ranks 1, 2, 1, 2), and c, which is not in the answer
    assert found.items["all"]["spy"]["mrr@20"] == pytest.approx((1 + 1 / 2 + 1 + 1 / 2 + 0) / 5)
    assert found.items["no actions yet"]["spy"]["recall@20"] == 1 / 2  # a, not c
    assert found.items["new to the window"]["spy"]["n"] == 3  # a, b, c
    assert found.items["20 and more"]["spy"]["n"] == 0
    assert (found.questions, found.users) == (7, 2)


def test_an_item_outside_the_catalogue_is_never_found() -> None:
    found = evaluate(histories("az"), Spy("ab"))

    assert found.items["1-4 actions"]["spy"]["recall@20"] == 0


def test_intents_are_evaluated_only_after_their_horizon() -> None:
    log = histories("aaaa")._replace(actions=np.array([0, 0, 2, 0], np.int8))  # buy at 2 s
    found = evaluate(log, Spy("a"), period=Period(-1, 12_500))

    buy = found.intents["buy"]["spy"]
    assert (buy["n"], buy["yes"]) == (3, 2)  # at 3 s the outcome is not known yet
    assert buy["precision"] == pytest.approx(2 / 3)  # .5 is positive, three times
    assert buy["recall"] == 1
    assert "newest_first" not in found.intents["buy"]


def test_an_interval_contains_its_figure() -> None:
    found = evaluate(histories("abab", "c", "cab", "bb", "ca"), Spy("ab"))

    interval = found.item_intervals["spy"]["recall@20"]
    assert interval is not None
    assert interval[0] < float(found.items["all"]["spy"]["recall@20"] or 0) < interval[1]


def test_the_figures_convert_to_json() -> None:
    fields = evaluate(histories("ab"), Spy("ab")).to_json()

    assert fields["thresholds"]["buy"] == {"chance": 0.5, "chosen_on": "nothing"}
    assert fields["variety"]["spy"]["coverage"] == pytest.approx(2 / 3)


def test_the_table_is_aligned_and_leaves_empty_groups_out() -> None:
    text = table(evaluate(histories("ab"), Spy("ab", "model"), Spy("c", "other")))

    lines = text.splitlines()
    assert lines[0].split()[:5] == ["next", "item", "n", "R@5", "R@10"]
    assert lines[1] == "all"
    assert lines[2].split()[:3] == ["model", "2", "1.0000"]
    assert len(lines[2]) == len(lines[0])
    assert "20 and more" not in text
    assert "cart: yes from 0.5000 on (nothing)" in text
    assert "–" in text  # no AUC without positives
