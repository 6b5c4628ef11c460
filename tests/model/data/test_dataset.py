import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.data.dataset import (
    Histories,
    Period,
    build_catalogue,
    cut_ms,
    decayed_counts,
    label,
    read_histories,
)
from model.data.log import EventLog, Item
from model.errors import DataError

ANY_PURCHASE = ArtifactConfig(
    actions=("view", "purchase", "order"),
    intents=("buy",),
    intent_actions=(("purchase", "order"),),
    horizon_s=10,
)
EVER = Period(-1, 1 << 60)
HORIZON = ArtifactConfig(horizon_s=10)
NOTHING = -2
T0 = 1_700_000_000_000


def log(folder: Path, rows: list[tuple[str, str, str, int]]) -> pl.LazyFrame:
    """A log of rows whose times are milliseconds after ``T0``."""
    path = folder / "events.jsonl"
    path.write_text(
        "".join(
            json.dumps({"user_id": user, "item_id": item, "action": action, "ts": T0 + ts}) + "\n"
            for user, item, action, ts in rows
        )
    )
    return EventLog.open([path]).frame


def histories(*users: list[tuple[int, int, int]]) -> Histories:
    """The histories of users, each given as a list of (item, action, second)."""
    events = [event for user in users for event in user]
    items, actions, times_s = zip(*events, strict=True)
    return Histories(
        np.array(items, np.int32),
        np.array(actions, np.int8),
        np.array(times_s, np.int64) * 1000,
        np.cumsum([0, *map(len, users)]),
    )


def test_events_are_sorted_by_user_and_time(tmp_path: Path) -> None:
    frame = log(
        tmp_path,
        [
            ("v", "b", "buy", 5),
            ("u", "b", "cart", 3),
            ("v", "c", "click", 1),
            ("u", "a", "click", 2),
        ],
    )
    catalogue = Catalogue.from_names(["a", "b"], [None, None], [1, 1])

    read = read_histories(frame, catalogue, ArtifactConfig())

    assert read.items.tolist() == [0, 1, -1, 1]  # c is not in the catalogue
    assert read.actions.tolist() == [0, 1, 0, 2]
    assert (read.times_ms - T0).tolist() == [2, 3, 1, 5]
    assert read.offsets.tolist() == [0, 2, 4]


def test_an_unknown_action_is_rejected(tmp_path: Path) -> None:
    frame = log(tmp_path, [("u", "a", "click", 1), ("u", "a", "wink", 2)])

    with pytest.raises(DataError, match=r"action 'wink', expected click, cart, buy; .*--actions"):
        read_histories(frame, Catalogue.from_names(["a"], [None], [1]), ArtifactConfig())


def test_the_cut_holds_out_the_newest_share(tmp_path: Path) -> None:
    frame = log(tmp_path, [("u", "a", "click", ts) for ts in range(100, 110)])

    assert cut_ms(frame, 0.2) == Period(T0 + 108, T0 + 110)


def test_a_log_of_a_single_time_cannot_be_split(tmp_path: Path) -> None:
    frame = log(tmp_path, [("u", "a", "click", 7), ("v", "a", "click", 7)])

    with pytest.raises(DataError, match="cannot be split by time"):
        cut_ms(frame, 0.1)


def test_counts_halve_with_every_half_life(tmp_path: Path) -> None:
    rows = [("u", "new", "click", 20_000), ("u", "old", "click", 10_000), ("v", "old", "click", 0)]

    counts = decayed_counts(log(tmp_path, rows), T0 + 20_000, half_life_s=10).collect()

    assert dict(counts.iter_rows()) == {"new": 1000, "old": 1000 * (1 / 2 + 1 / 4)}


def test_the_item_files_category_comes_before_the_most_frequent_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "user_id,item_id,action,ts,category\n"
        f"u,b,click,{T0 + 1},hats\nu,b,click,{T0 + 2},shoes\nu,b,click,{T0 + 3},shoes\n"
        f"u,a,click,{T0 + 3},\nu,c,click,{T0 + 3},hats\n"
    )
    extra = {"c": Item("c", "bags", None), "d": Item("d", "hats", None)}

    catalogue = build_catalogue(EventLog.open([path]).frame, T0 + 3, 1e9, extra)

    assert catalogue.items == ("a", "b", "c", "d")
    assert catalogue.categories == ("bags", "hats", "shoes")
    assert catalogue.item_categories.tolist() == [-1, 2, 0, 1]
    assert catalogue.counts.tolist() == [1000, 3000, 1000, 0]


def test_the_next_item_is_from_the_same_user() -> None:
    labels = label(histories([(1, 0, 0), (2, 0, 5)], [(3, 0, 1), (-1, 0, 2)]), EVER, HORIZON)

    assert labels.next_items.tolist() == [2, NOTHING, -1, NOTHING]


def test_an_intent_is_positive_if_a_later_event_within_the_horizon_fulfils_it() -> None:
    click, cart, buy = 0, 1, 2
    labels = label(
        histories([(1, click, 0), (1, cart, 4), (1, click, 9), (1, buy, 14), (1, click, 15)]),
        EVER,
        HORIZON,
    )

    carts, buys = labels.intents[:, 0].tolist(), labels.intents[:, 1].tolist()
    assert carts == [1, 0, 0, 0, 0]
    assert buys == [0, 1, 1, 0, 0]  # 14 s after the first, 10 after the second


def test_another_users_purchase_does_not_count() -> None:
    labels = label(histories([(1, 0, 0)], [(1, 2, 1)]), EVER, HORIZON)

    assert labels.intents[0].tolist() == [0, 0]


def test_an_intent_is_censored_when_the_period_ends_before_the_horizon() -> None:
    labels = label(histories([(1, 0, 0), (1, 0, 9), (1, 2, 12)]), Period(-1, 20_000), HORIZON)

    assert labels.intents[:, 1].tolist() == [0, 1, -1]  # 9 + 10 < 20; 12 + 10 is not


def test_labels_outside_the_period_are_left_out() -> None:
    labels = label(histories([(1, 0, 0), (2, 0, 5), (3, 2, 8)]), Period(6_000, 60_000), HORIZON)

    assert labels.next_items.tolist() == [NOTHING, 3, NOTHING]
    assert labels.intents[:, 1].tolist() == [-1, -1, 0]


def test_until_keeps_only_earlier_events() -> None:
    whole = histories([(1, 0, 0), (2, 0, 5)], [(3, 0, 6)], [(4, 0, 1)])

    learnt = whole.until(5_000)

    assert learnt.items.tolist() == [1, 4]
    assert learnt.offsets.tolist() == [0, 1, 2]
    assert label(learnt, Period(-1, 5_000), HORIZON).next_items.tolist() == [NOTHING, NOTHING]


def test_an_intent_happens_with_any_of_the_actions_that_it_counts() -> None:
    """View at 0, purchase at 5, view at 6, order at 16 and view at 20, in a horizon of 10 s."""
    user = [(1, 0, 0), (1, 1, 5), (1, 0, 6), (1, 2, 16), (1, 0, 20), (1, 0, 31)]

    labels = label(histories(user), EVER, ANY_PURCHASE)

    assert labels.intents[:, 0].tolist() == [1, 0, 1, 0, 0, 0]


def test_every_unknown_action_is_named_at_once(tmp_path: Path) -> None:
    frame = log(tmp_path, [("u", "a", "View", 1), ("u", "a", "AddToCart", 2), ("u", "b", "buy", 3)])

    with pytest.raises(DataError, match=r"has the actions 'AddToCart', 'View', expected click, ca"):
        read_histories(frame, Catalogue.from_names(["a", "b"], [None, None], [1, 1]), HORIZON)
