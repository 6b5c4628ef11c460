"""The baselines: facts that hold for all of them, and the rankings of each on small logs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.baselines import BASELINES, NOTHING, Baseline, Prefixes, Ranked
from model.catalogue import HALF_LIFE_S
from model.data.dataset import Histories

ITEMS = "abcdef"


def log(*users: str) -> Histories:
    """Histories of users, given as strings of items (z is unknown); one click per second."""
    return Histories(
        indices("".join(users)),
        np.zeros(sum(map(len, users)), np.int8),
        np.arange(sum(map(len, users)), dtype=np.int64) * 1000,
        np.cumsum([0, *map(len, users)]),
    )


def asked(*prefixes: str) -> Prefixes:
    return Prefixes(indices("".join(prefixes)), np.cumsum([0, *map(len, prefixes)]))


def indices(items: str) -> "np.ndarray[tuple[int], np.dtype[np.int32]]":
    return np.array([ITEMS.find(item) for item in items], np.int32)


def named(ranked: Ranked) -> list[str]:
    return ["".join(ITEMS[i] for i in row if i != NOTHING) for row in ranked.items]


def fit(name: str, *users: str) -> Baseline:
    return BASELINES[name](log(*users), len(ITEMS))


def test_newest_first_ranks_each_item_of_the_sequence_once() -> None:
    baseline = fit("newest_first", "f")

    assert named(baseline.top(asked("abac", "", "bz"), 5)) == ["cab", "", "b"]
    assert named(baseline.top(asked("abac"), 2)) == ["ca"]


def test_the_weight_of_a_rule_is_one_over_the_distance() -> None:
    ranked = fit("rules", "abc", "ac", "zad").top(asked("a"), 5)

    # a→b 1/1, a→c 1/2 + 1/1, a→d 1/1: shares of 3.5
    assert named(ranked) == ["cbd"]
    assert ranked.weights[0, :3] == pytest.approx([1.5 / 3.5, 1 / 3.5, 1 / 3.5])


def test_rules_cover_at_most_ten_steps_of_one_user() -> None:
    baseline = fit("rules", "a" + "z" * 9 + "bc", "d")

    assert named(baseline.top(asked("a", "c", "z"), 5)) == ["b", "", ""]


def test_an_item_follows_itself_only_if_that_occurred() -> None:
    assert named(fit("rules", "aab").top(asked("a"), 5)) == ["ba"]  # b 1/1 + 1/2, a 1/1


def test_rules_come_after_the_sequences_own_items() -> None:
    baseline = fit("newest_then_rules", "abcd")

    assert named(baseline.top(asked("ba", "a"), 5)) == ["abcd", "abcd"]
    assert named(baseline.top(asked("ba"), 2)) == ["ab"]
    assert named(baseline.top(asked("ba"), 5, exclude_seen=True)) == ["cd"]


def test_popularity_halves_with_every_half_life() -> None:
    histories = log("aab")
    times_ms = np.array([0, 0, int(HALF_LIFE_S * 1000)], np.int64)
    baseline = BASELINES["popularity"](histories._replace(times_ms=times_ms), len(ITEMS))
    ranked = baseline.top(asked("", "a"), 5)

    assert named(ranked) == ["ab", "ab"]
    assert ranked.weights[0, :2] == pytest.approx([(1 / 2 + 1 / 2) / 2, 1 / 2])


PREFIX = st.text("abcdefz", max_size=8)


@pytest.mark.parametrize("name", BASELINES)
@given(st.lists(PREFIX, max_size=6), st.lists(PREFIX, max_size=5), st.integers(1, 8), st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_answer_is_a_ranking(
    name: str, users: list[str], prefixes: list[str], k: int, exclude_seen: bool
) -> None:
    ranked = fit(name, *filter(None, users)).top(asked(*prefixes), k, exclude_seen)

    assert ranked.items.shape == ranked.weights.shape == (len(prefixes), k)
    assert ranked.items.dtype == np.int32
    assert (np.diff(ranked.weights) <= 0).all()
    for row, prefix in zip(ranked.items.tolist(), prefixes, strict=True):
        best = [item for item in row if item != NOTHING]
        assert row == best + [NOTHING] * (k - len(best))
        assert len(set(best)) == len(best)
        if exclude_seen:
            assert not {ITEMS[item] for item in best} & set(prefix)


@pytest.mark.parametrize("name", BASELINES)
@given(st.lists(PREFIX, min_size=1, max_size=6), st.lists(PREFIX, min_size=1, max_size=5))
@settings(max_examples=40, deadline=None)
def test_an_answer_is_the_same_alone_and_in_a_batch(
    name: str, users: list[str], prefixes: list[str]
) -> None:
    baseline = fit(name, *filter(None, users))

    together = named(baseline.top(asked(*prefixes), 5))
    assert [named(baseline.top(asked(prefix), 5))[0] for prefix in prefixes] == together
