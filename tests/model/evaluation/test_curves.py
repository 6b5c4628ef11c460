from dataclasses import replace

import numpy as np
import pytest

from model.evaluation import curves
from model.evaluation.exam import Exam
from tests.model.shop_log import CATALOGUE, CONFIG, EVER, Spy, histories

pytestmark = pytest.mark.timeout(400)  # libraries to load, one core shared

LABELS, CHANCES = [1, 0, 1, 0, -1], [0.8, 0.5, 0.3, 0.1, 0.9]


def test_roc_rises_with_each_positive_and_moves_right_with_each_negative() -> None:
    line = curves.roc(LABELS, CHANCES)

    assert line is not None
    # positive .8, negative .5, positive .3, negative .1
    assert (line.x.tolist(), line.y.tolist()) == ([0, 0, 0.5, 0.5, 1], [0, 0.5, 0.5, 1, 1])
    assert line.area == pytest.approx(3 / 4)  # of 4 pairs only .3 < .5 is in the wrong order
    assert curves.roc([1, 1], [0.1, 0.2]) is None


def test_precision_falls_as_recall_grows() -> None:
    line = curves.precision_recall(LABELS, CHANCES)

    assert line is not None
    assert (np.diff(line.x) >= 0).all()
    assert line.x[-1] == 1 and line.y[-1] == pytest.approx(2 / 4)  # all predicted positive
    assert line.area == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert curves.precision_recall([0], [0.1]) is None


def test_confusion_counts_outcomes_by_prediction() -> None:
    assert curves.confusion(LABELS, CHANCES, 0.5).tolist() == [[1, 1], [1, 1]]
    assert curves.confusion(LABELS, CHANCES, 0.2).tolist() == [[1, 1], [0, 2]]


def test_reliability_has_bins_of_equal_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.evaluation.metrics.ECE_BINS", 2)
    bins = curves.reliability(LABELS, CHANCES)

    assert bins.predicted == pytest.approx([(0.1 + 0.3) / 2, (0.5 + 0.8) / 2])
    assert bins.observed == pytest.approx([1 / 2, 1 / 2])
    assert len(curves.reliability([], []).predicted) == 0


def test_a_long_curve_keeps_its_ends() -> None:
    labels = np.arange(5_000) % 2
    line = curves.roc(labels, np.random.default_rng(1).random(5_000))

    assert line is not None and len(line.x) <= curves.POINTS
    assert (line.x[0], line.y[0], line.x[-1], line.y[-1]) == (0, 0, 1, 1)


def test_a_late_state_lacks_the_newest_actions() -> None:
    exam = Exam.of(histories("abcab"), CATALOGUE, CONFIG, EVER)  # one per second
    asked = exam.questions.targets != -2
    before = [(1, 0), (2, 0), (3, 0), (4, 1)]  # end and begin: three actions at most

    late = curves.delayed(replace(exam, questions=exam.questions.take(asked)), 2_000).questions
    moved = dict(zip(before, zip(late.end, late.begin, strict=True), strict=False))
    assert sorted(late.end.tolist()) == [0, 0, 1, 2, 3]  # of 0, 1, 2, 3, 4: one less from 1 on
    assert all(begin == max(0, end - 3) for end, begin in moved.values())


def test_recall_falls_with_the_delay_of_the_state() -> None:
    class Last(Spy):
        """A scorer that predicts the newest item, or nothing without one."""

        def score(self, sequences):  # type: ignore[no-untyped-def]
            empty = super().score(sequences)
            return [
                score._replace(items=[(item, 1.0) for item in sequence.items[-1:]])
                for score, sequence in zip(empty, sequences, strict=True)
            ]

    exam = Exam.of(histories("aabb", "bbcc"), CATALOGUE, CONFIG, EVER)
    now, late = curves.recall_by_delay(exam, Last(""), (0, 2))

    # questions before events 1, 2 and 3 of each user: right in 2 of 3
    assert now.questions == 6
    assert now.recall == pytest.approx(2 / 3)
    # with two seconds of delay: nothing, the first (wrong), the second (wrong)
    assert late.recall == 0
    assert now.low <= now.recall <= now.high


def test_an_artifact_without_epochs_has_none() -> None:
    assert curves.learning_epochs({}) == []
    assert curves.learning_epochs({"learning": [{"epoch": 1}]}) == [{"epoch": 1}]
