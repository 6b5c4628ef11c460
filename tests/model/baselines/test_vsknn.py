from collections import defaultdict
from math import log as ln

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.baselines import vsknn
from model.data.dataset import Histories
from tests.model.baselines.test_baselines import ITEMS, asked, log, named

PREFIX = st.text("abcdefz", max_size=14)


def best(*users: str, asks: str, k: int = 5) -> str:
    return named(vsknn.fit(log(*users), len(ITEMS)).top(asked(asks), k))[0]


def by_hand(users: list[str], asks: str) -> dict[str, float]:
    """The module's formula in plain Python, session by session."""
    steps = {item: len(asks) - 1 - asks.rindex(item) for item in asks if item != "z"}
    scores: defaultdict[str, float] = defaultdict(float)
    for visit in users:
        shared = set(visit) & set(steps)
        if not shared:
            continue
        similarity = sum(1 - steps[item] / len(asks) for item in shared)
        recent = 1 - (min(steps[item] for item in shared) + 1) / 10
        for item in set(visit) - {"z"} if recent > 0 else ():
            idf = ln(len(users) / sum(item in other for other in users))
            scores[item] += similarity * recent * (1 + idf)
    return scores


@given(st.lists(PREFIX.filter(bool), min_size=1, max_size=9), PREFIX)
@settings(max_examples=150, deadline=None)
def test_scores_equal_the_formula(users: list[str], asks: str) -> None:
    ranked = vsknn.fit(log(*users), len(ITEMS)).top(asked(asks), len(ITEMS))

    found = {
        ITEMS[item]: weight
        for item, weight in zip(ranked.items[0], ranked.weights[0], strict=True)
        if item >= 0
    }
    assert found == pytest.approx(by_hand(users, asks))


def test_a_session_that_shares_a_newer_item_counts_more() -> None:
    assert best("ac", "bd", asks="ab").startswith("bd")


def test_among_equally_similar_sessions_the_newest_are_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vsknn, "NEIGHBOURS", 1)

    assert set(best("ab", "ac", asks="a")) == set("ac")


def test_only_the_newest_sessions_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vsknn, "SAMPLE", 2)
    monkeypatch.setattr(vsknn, "NEIGHBOURS", 2)

    # abd is the most similar to the question, and older than two others that share an item with it
    assert set(best("abd", "bc", "af", asks="ab")) == set("abcf")


def test_a_long_pause_ends_a_session() -> None:
    times_ms = np.array([0, vsknn.PAUSE_MS, 2 * vsknn.PAUSE_MS + 1], np.int64)
    histories: Histories = log("abc")._replace(times_ms=times_ms)

    assert set(named(vsknn.fit(histories, len(ITEMS)).top(asked("b"), 5))[0]) == set("ab")


def test_without_actions_no_session_is_similar() -> None:
    assert best("ab", asks="") == best("ab", asks="z") == best("ab", asks="f") == ""
