"""The reranking: exact under any filter, diverse as requested, and never renormalised."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from model.catalogue import Catalogue
from model.errors import OptionsError
from model.sequence import Sequence
from model.serving.options import ItemList, ScoringOptions
from model.serving.reranking import Floats, Ints, Pick, Picker, history, largest, reweigh

NOTHING = np.empty(0, dtype=np.int64)
# Six items: two shoes, two hats, and two without a category.
SHOP = Catalogue.from_names("abcdef", ["shoe", "shoe", "hat", "hat", None, None], [1] * 6)
CHANCES = [0.30, 0.25, 0.20, 0.15, 0.07, 0.03]


def listed(ids: str) -> ItemList:
    return ItemList("list.txt", frozenset(ids))


def pick(count: int, seen: Ints = NOTHING, chances: Any = CHANCES, **options: Any) -> Pick:
    (found,) = Picker(ScoringOptions(**options), SHOP, count).pick([chances], [seen])
    return found


def names(found: Pick) -> str:
    return "".join(SHOP.items[index] for index in found.items)


def codes(ids: str) -> Ints:
    return SHOP.codes(list(ids))


# --- filters ---------------------------------------------------------------------------------


def test_without_options_the_likeliest_come_first() -> None:
    assert names(pick(4)) == "abcd"


def test_seen_items_are_left_out_and_the_rest_keep_their_probabilities() -> None:
    found = pick(3, seen=codes("ac"), exclude_seen=True)

    assert names(found) == "bde"
    assert found.probabilities.tolist() == [0.25, 0.15, 0.07]


def test_only_allowed_items_come_back_however_unlikely() -> None:
    assert names(pick(3, allowed_items=listed("fe?"))) == "ef"


def test_blocked_items_do_not_come_back() -> None:
    assert names(pick(3, blocked_items=listed("ab"))) == "cde"


def test_an_item_both_allowed_and_blocked_is_blocked() -> None:
    assert names(pick(3, allowed_items=listed("abc"), blocked_items=listed("b"))) == "ac"


def test_a_list_without_a_known_item_is_refused() -> None:
    with pytest.raises(OptionsError, match=r"list\.txt: names no item of the catalogue \(2 ids"):
        pick(3, blocked_items=listed("xy"))
    with pytest.raises(OptionsError, match=r"list\.txt: names no item of the catalogue \(0 ids"):
        pick(3, allowed_items=listed(""))


def test_lists_that_exclude_every_item_are_refused() -> None:
    with pytest.raises(OptionsError, match="leave none of the catalogue's 6 items"):
        pick(3, allowed_items=listed("ab"), blocked_items=listed("abc"))


def test_twenty_items_come_back_when_thousands_are_blocked() -> None:
    count = 5_000
    shop = Catalogue.from_names(
        list(map(str, range(count))), [None] * count, np.ones(count, np.int64)
    )
    chances = np.arange(count, 0, -1, dtype=np.float64)
    blocked = ItemList("sold out", frozenset(map(str, range(4_000))))

    (found,) = Picker(ScoringOptions(blocked_items=blocked), shop, 20).pick(
        [chances / chances.sum()], [NOTHING]
    )

    assert found.items.tolist() == list(range(4_000, 4_020))


@given(
    arrays.arrays(np.float64, st.integers(1, 40), elements=st.sampled_from([-1, 0, 0.1, 0.2, 0.5])),
    st.integers(1, 50),
)
def test_the_largest_values_match_a_full_sort(values: Floats, count: int) -> None:
    order = [index for index in np.argsort(-values, kind="stable") if values[index] >= 0]

    assert largest(values, count).tolist() == order[:count]


# --- diversity -------------------------------------------------------------------------------


def test_no_category_exceeds_the_cap() -> None:
    assert names(pick(6, max_per_category=1)) == "acef"
    assert names(pick(6, max_per_category=2)) == "abcdef"


def test_a_cap_widens_the_candidates_as_needed() -> None:
    count = 400
    shop = Catalogue.from_names(
        list(map(str, range(count))),
        ["all the same"] * 398 + ["late", "later"],
        np.ones(count, np.int64),
    )
    chances = np.arange(count, 0, -1) / 80_200

    (found,) = Picker(ScoringOptions(max_per_category=1), shop, 3).pick([chances], [NOTHING])

    assert found.items.tolist() == [0, 398, 399]


@pytest.mark.parametrize(
    ("diversity", "expected"),
    [
        (0.0, "abcdef"),
        # b: .9·(.25/.30) − .1 = .65 against c: .9·(.20/.30) = .60
        (0.1, "abcdef"),
        # b: .8·(.25/.30) − .2 = .467, c: .8·(.20/.30) = .533, d: .4 − .2 = .2, e: .187
        (0.2, "acbdef"),
        # b: .5·(.25/.30) − .5 < 0 < f: .5·(.03/.30)
        (0.5, "acefbd"),
        (1.0, "acefbd"),
    ],
)
def test_diversity_penalises_a_category_already_picked(diversity: float, expected: str) -> None:
    found = pick(6, diversity=diversity)

    assert names(found) == expected
    assert found.probabilities.tolist() == [CHANCES["abcdef".index(name)] for name in expected]


def test_diversity_and_a_cap_combine() -> None:
    assert names(pick(6, diversity=0.2, max_per_category=1)) == "acef"


def test_probabilities_of_zero_are_handled() -> None:
    assert names(pick(3, chances=[0.0] * 6, diversity=0.3)) == "ace"


# --- recency ---------------------------------------------------------------------------------


def test_a_history_is_newest_first_each_item_once() -> None:
    sequence = Sequence(tuple("abxac"), ("click",) * 5, (1, 2, 3, 4, 5), 5)

    assert history(sequence, SHOP).tolist() == codes("cab").tolist()


def test_temperature_redistributes_the_history_by_recency() -> None:
    # T = 1/2: weights r^(1 − 2) = 1, 1/2, 1/3, and the sum .3 + .2 + .1 stays.
    total = 0.3 + 0.2 / 2 + 0.1 / 3

    assert reweigh(np.array([0.3, 0.2, 0.1]), 0.5) == pytest.approx(
        [0.6 * 0.3 / total, 0.6 * 0.1 / total, 0.6 * 0.1 / 3 / total]
    )


@given(
    arrays.arrays(np.float64, st.integers(0, 50), elements=st.floats(0, 0.02)),
    st.floats(0.01, 100),
)
def test_temperature_keeps_the_sum(chances: Floats, temperature: float) -> None:
    shared = reweigh(chances, temperature)

    assert (shared >= 0).all()
    assert shared.sum() == pytest.approx(chances.sum())
    if len(chances) and chances[0] > 1e-9:
        colder = reweigh(chances, temperature / 2)
        assert colder[0] >= shared[0] - 1e-15


def test_a_temperature_of_one_changes_nothing() -> None:
    chances = np.array([0.1, 0.7, 0.2])

    assert reweigh(chances, 1.0) is chances


def test_a_low_temperature_ranks_the_newest_first() -> None:
    seen = codes("dab")  # d is the newest

    assert names(pick(4, seen=seen)) == "abcd"
    assert names(pick(4, seen=seen, recency_temperature=0.1)) == "dcef"
    # Unseen items keep their probability.
    found = pick(6, seen=seen, recency_temperature=0.1)
    assert found.probabilities[names(found).index("c")] == 0.20


# --- independent rows ------------------------------------------------------------------------


def test_rows_are_independent() -> None:
    options = ScoringOptions(exclude_seen=True, diversity=0.2, recency_temperature=2)
    picker = Picker(options, SHOP, 3)
    rows = [CHANCES, CHANCES[::-1], CHANCES]
    histories = [codes("a"), codes("bcd"), NOTHING]

    together = picker.pick(rows, histories)
    alone = [picker.pick([row], [seen])[0] for row, seen in zip(rows, histories, strict=True)]

    assert [names(found) for found in together] == [names(found) for found in alone]
    assert rows[0] == CHANCES
