from pathlib import Path

import numpy as np
import pytest

from model.errors import DataError
from model.evaluation import plots
from model.evaluation.curves import Delayed, Line, Reliability

pytestmark = pytest.mark.timeout(400)  # libraries to load, one core shared

LINE = Line(np.array([0.0, 0.5, 1.0]), np.array([0.0, 0.8, 1.0]), 0.7)


def drawn(axes, label: str):  # type: ignore[no-untyped-def]
    return next(line for line in axes.lines if str(line.get_label()).startswith(label))


def test_the_learning_curve_has_a_point_for_each_epoch() -> None:
    epochs = [
        {"epoch": 1, "loss": 3.0, "recall@20": 0.1, "mrr@20": 0.05},
        {"epoch": 2, "loss": 2.0, "recall@20": 0.3, "mrr@20": 0.15},
    ]
    left, right = plots.learning_curve(epochs).axes

    assert np.array(left.lines[0].get_xydata()).tolist() == [[1, 3.0], [2, 2.0]]
    assert drawn(right, "Recall@20").get_ydata().tolist() == [0.1, 0.3]
    assert drawn(right, "MRR@20").get_ydata().tolist() == [0.05, 0.15]


def test_each_intent_has_a_panel() -> None:
    cart, buy = plots.roc({"cart": LINE, "buy": LINE._replace(area=0.9)}).axes

    assert (cart.get_title(loc="left"), buy.get_title(loc="left")) == ("ROC: cart", "ROC: buy")
    assert drawn(buy, "model, AUC 0.900").get_ydata().tolist() == LINE.y.tolist()


def test_precision_is_compared_with_the_base_rate() -> None:
    (axes,) = plots.precision_recall({"buy": (LINE, 0.25)}).axes

    assert set(drawn(axes, "by chance").get_ydata()) == {0.25}
    assert drawn(axes, "model, AP 0.700").get_xdata().tolist() == LINE.x.tolist()


def test_the_confusion_matrix_shows_counts_and_shares_of_each_row() -> None:
    (axes,) = plots.confusion({"buy": (np.array([[900, 100], [5, 15]]), 0.3)}).axes

    texts = [text.get_text() for text in axes.texts]
    assert texts == ["900\n90.0%", "100\n10.0%", "5\n25.0%", "15\n75.0%"]


def test_reliability_shows_predicted_and_observed_probabilities() -> None:
    bins = Reliability(np.array([0.1, 0.6]), np.array([0.2, 0.5]))
    (axes,) = plots.reliability({"buy": (bins, 0.05)}).axes

    assert drawn(axes, "model, ECE 0.050").get_xydata().tolist() == [[0.1, 0.2], [0.6, 0.5]]


def test_recall_is_drawn_over_the_delay_of_the_state() -> None:
    points = [Delayed(0, 0.5, 0.4, 0.6, 9), Delayed(60, 0.3, 0.2, 0.4, 9)]
    (axes,) = plots.recall_by_delay(points).axes

    assert drawn(axes, "model").get_ydata().tolist() == [0.5, 0.3]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0 s", "1 min"]


def test_equal_figures_are_written_as_equal_files(tmp_path: Path) -> None:
    figures = {"roc": lambda: plots.roc({"buy": LINE})}
    (first,) = plots.write(figures, tmp_path / "first")
    (second,) = plots.write(figures, tmp_path / "second")

    assert first == tmp_path / "first" / "roc.svg"
    assert first.read_bytes() == second.read_bytes()
    assert b"<svg" in first.read_bytes()


def test_a_folder_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DataError, match="plots cannot be written"):
        plots.write({}, tmp_path / "file")
