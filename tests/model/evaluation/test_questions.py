import numpy as np

from model.evaluation.questions import ask, groups
from tests.model.shop_log import CONFIG, EVER, histories

ALL = np.ones(3, dtype=np.bool_)


def test_unknown_items_do_not_count_as_repeats() -> None:
    questions = ask(histories("azz"), CONFIG, EVER)

    assert groups(questions, ALL)["new to the window"].sum() == 3


def test_questions_are_grouped_by_the_number_of_known_actions() -> None:
    config = CONFIG.__class__(max_length=50)
    sizes = {
        name: int(rows.sum())
        for name, rows in groups(ask(histories("ab" * 13), config, EVER), ALL).items()
    }

    assert sizes["all"] == 26
    assert sizes["no actions yet"] == 1
    assert sizes["1-4 actions"] == 4
    assert sizes["5-19 actions"] == 15
    assert sizes["20 and more"] == 26 - 1 - 4 - 15
    assert sizes["new to the window"] == 2


def test_an_item_without_training_events_is_cold() -> None:
    found = groups(ask(histories("abcz"), CONFIG, EVER), np.array([True, False, True]))

    assert found["warm item"].sum() == 2  # a, c
    assert found["cold item (never trained on)"].sum() == 2  # b, and the unknown z


def test_each_question_has_its_user() -> None:
    questions = ask(histories("ab", "c"), CONFIG, EVER)

    begins = questions.begin[questions.end > questions.begin]
    assert questions.users[questions.end > questions.begin].tolist() == (begins // 2).tolist()
    assert questions.users[questions.end == questions.begin].tolist() == [0, 1]
