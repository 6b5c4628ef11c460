import hashlib
import json
from collections import Counter, defaultdict
from itertools import islice, pairwise
from typing import Any

import pytest

from model.synthetic.shop import Shop

START_MS = 1_790_000_000_000


def taken(n: int, shop: Shop | None = None, **settings: Any) -> list[dict[str, Any]]:
    settings = {"n_shoppers": 2000, "start_ms": START_MS} | settings
    return list(islice((shop or Shop(seed=1)).events(**settings), n))


@pytest.fixture(scope="module")
def log() -> list[dict[str, Any]]:
    return taken(40_000)


def test_the_same_seed_gives_the_same_bytes_on_every_machine() -> None:
    digest = hashlib.sha256(json.dumps(taken(2000)).encode()).hexdigest()

    assert digest[:16] == "00742b9450065c58"


def test_another_seed_gives_other_events_of_the_same_shoppers() -> None:
    shop = Shop(seed=1)

    assert taken(50, shop, seed=0) != taken(50, shop, seed=1)
    assert shop.persona(7).favourites == Shop(seed=1).persona(7).favourites


def test_events_are_in_order_of_time_from_the_start(
    log: list[dict[str, Any]],
) -> None:
    assert log[0]["ts"] == START_MS
    assert all(before["ts"] <= after["ts"] for before, after in pairwise(log))


def test_every_event_has_a_unique_id(log: list[dict[str, Any]]) -> None:
    assert len({event["event_id"] for event in log}) == len(log)


def test_a_shopper_makes_one_visit_at_a_time(log: list[dict[str, Any]]) -> None:
    visits = defaultdict(list)
    for event in log:
        visits[event["user_id"]].append(event["session_id"])

    for sessions in visits.values():
        changes = sum(a != b for a, b in pairwise(sessions))
        assert changes == len(set(sessions)) - 1


def test_titles_are_unique_within_a_category_even_in_a_large_shop() -> None:
    items = Shop(seed=3, n_items=5000).items

    assert len({(item.category, item.title) for item in items}) == len(items)


def test_few_shoppers_reach_a_high_rate() -> None:
    log = taken(20_000, n_shoppers=200, events_per_s=50)

    seconds = (log[-1]["ts"] - log[0]["ts"]) / 1000
    assert len(log) / seconds == pytest.approx(50, rel=0.1)


def test_all_actions_occur_and_each_buy_follows_its_cart(
    log: list[dict[str, Any]],
) -> None:
    counts = Counter(event["action"] for event in log)
    assert counts["click"] > counts["cart"] > counts["buy"] > len(log) / 50

    carts = set()
    for event in log:
        if event["action"] == "cart":
            carts.add((event["session_id"], event["item_id"]))
        if event["action"] == "buy":
            assert (event["session_id"], event["item_id"]) in carts


def test_the_last_item_predicts_the_next_click_far_better_than_popularity(
    log: list[dict[str, Any]],
) -> None:
    steps = [
        (before["item_id"], after["item_id"])
        for session in sessions_of(log)
        for before, after in pairwise(session)
        if after["action"] == "click"
    ]
    past, future = steps[: len(steps) // 2], steps[len(steps) // 2 :]
    after: dict[str, Counter[str]] = defaultdict(Counter)
    for item, follower in past:
        after[item][follower] += 1
    best = {item: {i for i, _ in counts.most_common(20)} for item, counts in after.items()}
    popular = {i for i, _ in Counter(follower for _, follower in past).most_common(20)}

    hits = sum(follower in best.get(item, ()) for item, follower in future)
    popular_hits = sum(follower in popular for _, follower in future)
    assert hits > 5 * popular_hits


def test_after_a_shift_the_clicks_stay_in_the_new_category(
    log: list[dict[str, Any]],
) -> None:
    stayed = shifted = 0
    for session in sessions_of(log):
        clicks = [event["category"] for event in session if event["action"] == "click"]
        for a, b, c in zip(clicks, clicks[1:], clicks[2:], strict=False):
            if a != b:
                shifted += 1
                stayed += b == c
    assert shifted > 1000
    assert stayed > 0.6 * shifted


def test_repeated_views_lead_to_carts_and_eager_categories_to_purchases(
    log: list[dict[str, Any]],
) -> None:
    first_look, second_look = Counter[str](), Counter[str]()
    bought = Counter[str]()
    carts = Counter[str]()
    for session in sessions_of(log):
        views = Counter[str]()
        for event, following in pairwise(session):
            if event["action"] == "click":
                views[event["item_id"]] += 1
                look = first_look if views[event["item_id"]] == 1 else second_look
                look[following["action"]] += 1
        carts.update(e["category"] for e in session if e["action"] == "cart")
        bought.update(e["category"] for e in session if e["action"] == "buy")

    def share(look: Counter[str]) -> float:
        return look["cart"] / look.total()

    assert share(second_look) > 5 * share(first_look)
    assert bought["dog food"] / carts["dog food"] > 2 * bought["dog leads"] / carts["dog leads"]


@pytest.mark.parametrize(("n_items", "n_categories"), [(95, 24), (600, 25), (600, 1)])
def test_a_shop_with_too_few_items_or_categories_is_rejected(
    n_items: int, n_categories: int
) -> None:
    with pytest.raises(ValueError, match="give"):
        Shop(seed=1, n_items=n_items, n_categories=n_categories)


def sessions_of(log: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    sessions = defaultdict(list)
    for event in log:
        sessions[event["session_id"]].append(event)
    return list(sessions.values())
