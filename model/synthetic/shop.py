"""The synthetic shop: its items, shoppers and events, the same for a seed on every platform.

Only the standard library's ``random()`` and exact arithmetic are used, never a logarithm or a
power, whose last digit differs between platforms.

A model can learn from it: shoppers stay in a category until their interest shifts, and then in
the new one; an item leads to a few others; shoppers have favourite brands and items; an item
viewed again is often put into the cart; carts of the ``eager`` categories are often bought.
"""

import heapq
from bisect import bisect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

from model.synthetic.words import BRANDS, CATEGORIES, FINISHES

P_SESSION_ENDS = 0.08
P_BACK_TO_AN_ITEM = 0.16
P_SHIFT = 0.10
P_FOLLOW_UP = 0.60
P_OWN_BRAND = 0.70
P_FAVOURITE_FIRST = 0.40
P_CART = 0.03
P_CART_WHEN_BACK = 0.45
P_BUY = 0.05
P_BUY_EAGER = 0.40
# (share, shortest, longest) pause after an action, in milliseconds.
PAUSES_MS = ((0.6, 3_000, 15_000), (0.3, 15_000, 60_000), (0.1, 60_000, 240_000))
MEAN_PAUSE_MS = sum(share * (low + high) / 2 for share, low, high in PAUSES_MS)
_PAUSE_SUMS = list(accumulate(share for share, _, _ in PAUSES_MS))
MEAN_ACTIONS = 1 / P_SESSION_ENDS
DAYS_BETWEEN_VISITS_MS = 2 * 86_400_000


class ShopItem(NamedTuple):
    """One item on sale; the price is in euros."""

    item_id: str
    title: str
    category: str
    price: float


class Weighted:
    """A weighted draw from several numbers: weight 1 / (rank + 3), so earlier ones are likelier."""

    def __init__(self, members: Sequence[int]) -> None:
        self._members = members
        self._sums = list(accumulate(1 / (rank + 3) for rank in range(len(members))))

    def draw(self, rng: Random) -> int:
        """Draw one member. There must be at least one."""
        return self._members[bisect(self._sums, rng.random() * self._sums[-1])]

    def __len__(self) -> int:
        return len(self._members)


class Persona(NamedTuple):
    """One shopper's lasting preferences: categories best first, a brand, some items."""

    user_id: str
    categories: Weighted
    brand: int
    favourites: tuple[int, ...]


@dataclass(slots=True)
class Session:
    """One visit in progress; ``views`` counts its views of each item."""

    session_id: str
    persona: Persona
    category: int
    item: int
    action: str = "click"
    views: dict[int, int] = field(default_factory=dict)
    cart: list[int] = field(default_factory=list)


def _below(rng: Random, n: int) -> int:
    # randrange() may draw differently in another version of Python; random() is guaranteed not to.
    return int(rng.random() * n)


def _shuffled(rng: Random, members: Iterable[int]) -> list[int]:
    return [member for _, member in sorted((rng.random(), member) for member in members)]


def _pause_ms(rng: Random) -> int:
    _, low, high = PAUSES_MS[bisect(_PAUSE_SUMS, rng.random(), hi=len(PAUSES_MS) - 1)]
    return low + _below(rng, high - low)


class Shop:
    """A shop with its items; ``events`` generates what its shoppers do.

    The same ``seed`` gives the same shop, and a shopper has the same persona in every call of
    ``events``, so that a model trained on one stream applies to the shoppers of another.
    """

    def __init__(self, seed: int, n_items: int = 600, n_categories: int = 24) -> None:
        """Raises ValueError unless every category gets at least four items."""
        if not 2 <= n_categories <= len(CATEGORIES):
            raise ValueError(f"n_categories is {n_categories}; give 2 to {len(CATEGORIES)}")
        if n_items < 4 * n_categories:
            raise ValueError(f"n_items is {n_items}; give at least {4 * n_categories}")
        self.seed = seed
        rng = Random(f"shop {seed}")
        words = CATEGORIES[:n_categories]
        names = [category.name for category in words]
        self._eager = [category.eager for category in words]
        self._partner = [
            names.index(category.goes_with)
            if category.goes_with in names
            else (index + 1) % n_categories
            for index, category in enumerate(words)
        ]
        self._category = [number % n_categories for number in range(n_items)]
        self._brand = [_below(rng, len(BRANDS)) for _ in range(n_items)]
        self.items = [self._item(number, rng) for number in range(n_items)]
        self._popular_categories = Weighted(_shuffled(rng, range(n_categories)))
        self._shelves = [Weighted(self._shelf(index, rng)) for index in range(n_categories)]
        self._brand_shelves = {
            (category, brand): Weighted(self._shelf(category, rng, brand))
            for category in range(n_categories)
            for brand in range(len(BRANDS))
        }
        self._follow_ups = [Weighted(self._goes_with(number, rng)) for number in range(n_items)]

    def events(
        self,
        n_shoppers: int,
        start_ms: int,
        seed: int = 0,
        events_per_s: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The shoppers' events from ``start_ms`` on, endless, in order of time.

        Each event has all fields of the wire contract; ``quantity`` only if its action is buy.
        Without ``events_per_s`` a shopper visits about every two days. If the rate is too high
        for the number of shoppers, the pauses between their actions are shortened to reach it.
        """
        rng = Random(f"events {self.seed} {seed}")
        natural = n_shoppers * MEAN_ACTIONS / (DAYS_BETWEEN_VISITS_MS / 1000)
        rate = natural if events_per_s is None else events_per_s
        # At most half of the shoppers are in the shop at a time.
        haste = min(1.0, n_shoppers / 2 / rate * 1000 / MEAN_PAUSE_MS)
        between_visits_ms = MEAN_ACTIONS / rate * 1000
        doors = _Doors(n_shoppers)
        under_way: list[tuple[int, int, Session]] = []
        next_visit_ms, visits, n_events = float(start_ms), 0, 0
        while True:
            while not under_way or next_visit_ms <= under_way[0][0]:
                at_ms = int(next_visit_ms)
                next_visit_ms += 2 * rng.random() * between_visits_ms
                shopper = doors.enter(rng)
                if shopper is None:
                    continue
                visits += 1
                session = self._begin(f"s{seed}-{visits}", self.persona(shopper), rng)
                heapq.heappush(under_way, (at_ms, shopper, session))
            ts, shopper, session = under_way[0]
            n_events += 1
            yield self._event(session, ts, f"e{self.seed}-{seed}-{n_events}")
            if self._advance(session, rng):
                again_ms = ts + 1 + int(_pause_ms(rng) * haste)
                heapq.heapreplace(under_way, (again_ms, shopper, session))
            else:
                heapq.heappop(under_way)
                doors.leave(shopper)

    def persona(self, shopper: int) -> Persona:
        """The persona of shopper number ``shopper``; computed on every call, to store none."""
        rng = Random(f"shopper {self.seed} {shopper}")
        liked: list[int] = []
        while len(liked) < min(3, len(self._shelves)):
            category = self._popular_categories.draw(rng)
            if category not in liked:
                liked.append(category)
        brand = _below(rng, len(BRANDS))
        favourites = tuple(self._pick(category, brand, rng) for category in liked)
        return Persona(f"shopper-{shopper:05d}", Weighted(liked), brand, favourites)

    def _item(self, number: int, rng: Random) -> ShopItem:
        words = CATEGORIES[self._category[number]]
        index = number // len(self._eager)
        noun = words.nouns[index % len(words.nouns)]
        # Each noun is combined with each finish once before the next edition begins.
        finish = FINISHES[(index % len(words.nouns) + index // len(words.nouns)) % len(FINISHES)]
        edition = index // (len(words.nouns) * len(FINISHES))
        title = f"{BRANDS[self._brand[number]]} {noun}, {finish}"
        if edition:
            title += f", edition {edition + 1}"
        cents = 100 * words.price_from + _below(rng, 100 * (words.price_to - words.price_from))
        return ShopItem(f"i{number:05d}", title, words.name, cents / 100)

    def _shelf(self, category: int, rng: Random, brand: int | None = None) -> list[int]:
        n_categories = len(self._eager)
        members = range(category, len(self.items), n_categories)
        return _shuffled(rng, (m for m in members if brand is None or self._brand[m] == brand))

    def _goes_with(self, item: int, rng: Random) -> list[int]:
        # Three of the same category, the same brand first, then one of the partner category.
        category = self._category[item]
        shelf = self._shelf(category, rng)
        shelf.sort(key=lambda other: self._brand[other] != self._brand[item])
        near = [other for other in shelf if other != item][:3]
        return [*near, self._shelves[self._partner[category]].draw(rng)]

    def _pick(self, category: int, brand: int, rng: Random) -> int:
        own = self._brand_shelves[category, brand]
        shelf = own if len(own) and rng.random() < P_OWN_BRAND else self._shelves[category]
        return shelf.draw(rng)

    def _begin(self, session_id: str, persona: Persona, rng: Random) -> Session:
        if rng.random() < P_FAVOURITE_FIRST:
            item = persona.favourites[_below(rng, len(persona.favourites))]
        else:
            item = self._pick(persona.categories.draw(rng), persona.brand, rng)
        return Session(session_id, persona, self._category[item], item, views={item: 1})

    def _advance(self, session: Session, rng: Random) -> bool:
        """Advance to the shopper's next action; False if the visit is over."""
        if session.cart and rng.random() < self._p_buy(session.cart[-1]):
            session.item, session.action = session.cart.pop(), "buy"
            return True
        if rng.random() < P_SESSION_ENDS:
            return False
        if self._puts_into_cart(session, rng):
            session.cart.append(session.item)
            session.action = "cart"
            return True
        session.item = self._next_view(session, rng)
        session.category, session.action = self._category[session.item], "click"
        session.views[session.item] = session.views.get(session.item, 0) + 1
        return True

    def _p_buy(self, item: int) -> float:
        return P_BUY_EAGER if self._eager[self._category[item]] else P_BUY

    def _puts_into_cart(self, session: Session, rng: Random) -> bool:
        if session.action != "click" or session.item in session.cart:
            return False
        back = session.views[session.item] > 1
        return rng.random() < (P_CART_WHEN_BACK if back else P_CART)

    def _next_view(self, session: Session, rng: Random) -> int:
        if session.action == "buy":
            return self._pick(self._partner[session.category], session.persona.brand, rng)
        dice = rng.random()
        if dice < P_BACK_TO_AN_ITEM and len(session.views) > 1:
            recent = [item for item in list(session.views)[-5:] if item != session.item]
            return recent[_below(rng, len(recent))]
        if dice > 1 - P_SHIFT:
            to_partner = rng.random() < 0.5
            liked = session.persona.categories
            category = self._partner[session.category] if to_partner else liked.draw(rng)
            return self._pick(category, session.persona.brand, rng)
        if rng.random() < P_FOLLOW_UP:
            return self._follow_ups[session.item].draw(rng)
        return self._pick(session.category, session.persona.brand, rng)

    def _event(self, session: Session, ts: int, event_id: str) -> dict[str, Any]:
        item = self.items[session.item]
        event: dict[str, Any] = {
            "event_id": event_id,
            "user_id": session.persona.user_id,
            "item_id": item.item_id,
            "action": session.action,
            "ts": ts,
            "session_id": session.session_id,
            "category": item.category,
            "price": item.price,
        }
        if session.action == "buy":
            event["quantity"] = 1
        return event


class _Doors:
    """Draws the visitors: a shopper makes one visit at a time, the first ones visit most often."""

    def __init__(self, n_shoppers: int) -> None:
        if n_shoppers < 1:
            raise ValueError(f"n_shoppers is {n_shoppers}; give at least 1")
        self._n_shoppers = n_shoppers
        self._inside: set[int] = set()

    def enter(self, rng: Random) -> int | None:
        """A shopper who is not visiting, or None if eight draws found none."""
        for _ in range(8):
            # The product of two uniform numbers tends to 0: a tenth of the shoppers makes a
            # third of the visits, without a table of weights.
            shopper = int(rng.random() * rng.random() * self._n_shoppers)
            if shopper not in self._inside:
                self._inside.add(shopper)
                return shopper
        return None

    def leave(self, shopper: int) -> None:
        self._inside.discard(shopper)
