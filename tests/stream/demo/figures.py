"""Events and scores for tests of the demo's figures."""

from typing import Any

from stream.demo.tally import Tally


def event(user: str = "u1", item: str = "i1", action: str = "click") -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "action": action}


def score(offset: int, *items: str) -> dict[str, Any]:
    return {
        "as_of": {"topic": "lately.events", "partition": 0, "offset": offset, "ts": 0},
        "items": [{"item_id": item, "score": 0.3} for item in items],
        "categories": [{"category": "kettles", "score": 0.62}],
        "intent": {"cart": 0.2, "buy": 0.4, "horizon_s": 1800},
        "n_events": 3,
    }


def open_tally(*popular: str) -> Tally:
    tally = Tally(popular)
    tally.go_live()
    return tally
