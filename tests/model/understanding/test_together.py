"""Items bought together: the figures equal those counted by hand and in plain Python."""

from collections import Counter, defaultdict
from itertools import permutations
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import DataError
from model.understanding.together import HOUR_MS, MOST_IN_BASKET, Pair, together

DAY_MS = 24 * HOUR_MS
SCHEMA = {
    "user_id": pl.String,
    "item_id": pl.String,
    "action": pl.String,
    "ts": pl.Int64,
    "category": pl.String,
}
Row = tuple[str, str, str, int, str | None]


def log(*rows: Row) -> pl.LazyFrame:
    return pl.LazyFrame(list(rows), schema=SCHEMA, orient="row")


def bought(user: str, items: str, day: int = 0) -> list[Row]:
    times_ms = range(day * DAY_MS, (day + 1) * DAY_MS, HOUR_MS)
    return [
        (user, item, "buy", ts_ms, item.upper())
        for item, ts_ms in zip(items, times_ms, strict=False)
    ]


def same(found: Pair, expected: Pair) -> bool:
    """Whether two pairs are equal, except for the last bits of the shares."""
    return found[:3] == expected[:3] and found[3:] == pytest.approx(expected[3:])


# Five baskets: ab, ab, abc, a, c.
SHOP = log(
    *bought("u1", "ab"),
    *bought("u2", "ba"),
    *bought("u2", "abc", day=1),
    *bought("u3", "aaa"),
    *bought("u4", "c"),
    ("u4", "a", "click", 5, "A"),
)


def test_pairs_are_counted_by_basket() -> None:
    found = together(SHOP, at_least=1)

    assert (found.baskets, found.left_out) == (5, 0)
    expected = [
        # a in 4 baskets, b in 3, c in 2; lift = together · 5 / (one · other)
        # G² = 2 Σ o·ln(o/e): for a and b the cells 3, 1, 0, 1, by chance 2.4, 1.6, 0.6, 0.4
        Pair("a", "b", 3, 3 / 5, 3 / 4, 3 * 5 / (4 * 3), 2.231436),
        Pair("b", "c", 1, 1 / 5, 1 / 3, 1 * 5 / (3 * 2), -0.138443),
        Pair("a", "c", 1, 1 / 5, 1 / 4, 1 * 5 / (4 * 2), -2.231436),
    ]
    assert all(map(same, found.pairs, expected)) and len(found.pairs) == len(expected)


def test_the_given_item_comes_first_in_its_pairs() -> None:
    found = together(SHOP, at_least=1, only="b")

    assert [(pair.first, pair.second, pair.confidence) for pair in found.pairs] == [
        ("b", "a", 3 / 3),
        ("b", "c", 1 / 3),
    ]


def test_rare_pairs_are_left_out() -> None:
    assert [pair.second for pair in together(SHOP, at_least=2).pairs] == ["b"]


def test_a_pair_of_five_baskets_does_not_outrank_one_of_forty() -> None:
    """The lift of the rare pair is 20, that of the frequent one 2.5: chance explains it more."""
    rare = [row for day in range(5) for row in bought("r", "xy", day)]
    often = [row for day in range(40) for row in bought("o", "ab", day)]
    others = [row for day in range(55) for row in bought("s", "c", day)]
    found = together(log(*rare, *often, *others), at_least=5)

    assert [(pair.first, pair.second) for pair in found.pairs] == [("a", "b"), ("x", "y")]
    assert found.pairs[0].lift < found.pairs[1].lift


def test_a_longer_window_makes_larger_baskets() -> None:
    found = together(SHOP, at_least=1, window_h=48)

    assert found.baskets == 4  # u2's two days are one
    assert same(found.pairs[0], Pair("a", "b", 2, 2 / 4, 2 / 3, 2 * 4 / (3 * 2), 1.726092))


def test_pairs_of_categories_are_counted_too() -> None:
    found = together(SHOP, by="category", at_least=3)

    assert [(pair.first, pair.second) for pair in found.pairs] == [("A", "B")]


def test_another_action_can_be_counted() -> None:
    found = together(SHOP, action="click", at_least=1)

    assert (found.baskets, found.pairs) == (1, [])


def test_a_basket_too_large_for_a_shopper_is_left_out() -> None:
    rows = [("u9", f"i{n}", "buy", n, None) for n in range(MOST_IN_BASKET + 1)]

    found = together(log(*rows, *bought("u1", "ab")), at_least=1)

    assert (found.baskets, found.left_out) == (1, 1)
    assert [pair.baskets for pair in found.pairs] == [1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"action": "wish"}, "no event has the action wish"),
        ({"by": "category", "action": "wish"}, "has a category"),
        ({"only": "z"}, "item 'z' is in 0 baskets"),
        ({"only": "c", "at_least": 2}, "item 'c' is in 2 baskets, but in no pair with 2 or more"),
    ],
)
def test_a_log_without_pairs_is_rejected_in_one_line(
    options: dict[str, Any], expected: str
) -> None:
    with pytest.raises(DataError, match=expected) as error:
        together(SHOP, **options)
    assert "\n" not in str(error.value)


@settings(deadline=None, max_examples=10)
@given(
    st.lists(
        st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(0, 3)),
        min_size=1,
        max_size=30,
    )
)
def test_counts_equal_those_of_plain_python(rows: list[tuple[str, str, int]]) -> None:
    baskets: dict[tuple[str, int], set[str]] = defaultdict(set)
    for user, item, day in rows:
        baskets[user, day].add(item)
    alone = Counter(item for basket in baskets.values() for item in basket)
    both = Counter(pair for basket in baskets.values() for pair in permutations(basket, 2))

    events: list[Row] = [(user, item, "buy", day * DAY_MS, None) for user, item, day in rows]
    found = together(log(*events), at_least=1, top=100)

    assert found.baskets == len(baskets)
    assert {(p.first, p.second): p.baskets for p in found.pairs} == {
        pair: count for pair, count in both.items() if pair[0] < pair[1]
    }
    for pair in found.pairs:
        assert pair.confidence == pytest.approx(pair.baskets / alone[pair.first])
        chance = alone[pair.first] * alone[pair.second] / len(baskets)
        assert pair.lift == pytest.approx(pair.baskets / chance)
