"""The demo's figures: events and scores, their latency, and how well the scores predict clicks."""

from array import array
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

TOP = 20
RECENT = 1000  # latencies that the live figures are of
RATE_OVER_S = 3.0


class Latency(NamedTuple):
    """Event to score in seconds."""

    p50_s: float
    p99_s: float


class SentEvent:
    """An event that was sent; ``offset`` is None until the broker acknowledges it."""

    __slots__ = ("at_s", "offset")

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s
        self.offset: int | None = None


class Account:
    """One user: the events that no score covers yet, and the latest score."""

    __slots__ = ("as_of", "scored_s", "top", "unscored")

    def __init__(self) -> None:
        self.unscored: deque[SentEvent] = deque()
        self.as_of = -1  # offset of the last event in the latest score
        self.scored_s = 0.0
        self.top: Sequence[str] = ()


class Tally:
    """Counts events and scores; all times are of one monotonic clock.

    Events before ``go_live`` are history: they are counted, but not in latency and hit rate.
    """

    def __init__(self, popular: Sequence[str] = ()) -> None:
        """``popular`` is the top 20 of the training data, best first."""
        self.accounts: dict[str, Account] = {}
        self.events = 0
        self.scores = 0
        self.history = 0
        self.scored_events = 0
        self.hit_rate = HitRate(popular)
        self.live = False
        self._latencies = array("d")
        self._samples: deque[tuple[float, int, int]] = deque()

    def go_live(self) -> None:
        """Count the events from now on in latency and hit rate."""
        self.live = True
        self.history = self.events

    def event_sent(self, event: dict[str, Any], now_s: float) -> tuple[SentEvent, bool]:
        """Count an event; also returns whether it clicks an item of the user's latest score."""
        account = self.accounts.setdefault(event["user_id"], Account())
        predicted = event["action"] == "click" and event["item_id"] in account.top
        if self.live and event["action"] == "click" and account.top:
            self.hit_rate.add(event["item_id"], predicted)
        self.hit_rate.count_item(event["item_id"])
        self.events += 1
        sent = SentEvent(now_s)
        account.unscored.append(sent)
        return sent, predicted

    def event_acknowledged(self, user_id: str, sent: SentEvent, offset: int) -> None:
        """Record the offset of an event; its score may have come before the acknowledgement."""
        sent.offset = offset
        self._remove_scored(self.accounts[user_id])

    def score_received(self, user_id: str, score: dict[str, Any], now_s: float) -> None:
        """Count a score; one that is not newer than the latest changes nothing else."""
        self.scores += 1
        account = self.accounts.setdefault(user_id, Account())
        if score["as_of"]["offset"] <= account.as_of:
            return
        account.as_of = score["as_of"]["offset"]
        account.scored_s = now_s
        account.top = [item["item_id"] for item in score["items"][:TOP]]
        self._remove_scored(account)

    def _remove_scored(self, account: Account) -> None:
        unscored = account.unscored
        while unscored and unscored[0].offset is not None and unscored[0].offset <= account.as_of:
            sent = unscored.popleft()
            self.scored_events += 1
            if self.live:
                self._latencies.append(account.scored_s - sent.at_s)

    @property
    def users(self) -> int:
        """How many users have sent an event."""
        return len(self.accounts)

    @property
    def unscored(self) -> int:
        """How many events no score covers yet."""
        return self.events - self.scored_events

    def unscored_users(self) -> list[str]:
        """The users whose last event no score covers."""
        return [user for user, account in self.accounts.items() if account.unscored]

    def latency(self, recent: bool = False) -> Latency | None:
        """Of all live events with a score, or of the last thousand; None if there is none."""
        seconds = sorted(self._latencies[-RECENT:] if recent else self._latencies)
        if not seconds:
            return None
        return Latency(seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)])

    def rates(self, now_s: float) -> tuple[float, float]:
        """Events and scores per second over the last seconds; call it a few times a second."""
        samples = self._samples
        samples.append((now_s, self.events, self.scores))
        while now_s - samples[0][0] > RATE_OVER_S:
            samples.popleft()
        first_s, events, scores = samples[0]
        span_s = now_s - first_s
        if span_s <= 0:
            return 0.0, 0.0
        return (self.events - events) / span_s, (self.scores - scores) / span_s


class HitRate:
    """How often the next click was in the top 20 of the latest score, and of the most popular.

    The baseline is the stronger of two popularities: of the training data, and of the items
    counted here before the click.
    """

    def __init__(self, popular: Sequence[str]) -> None:
        self.clicks = 0
        self.hits = 0
        self._trained = frozenset(popular[:TOP])
        self._trained_hits = 0
        self._counts: Counter[str] = Counter()
        self._counted: frozenset[str] = frozenset()
        self._counted_hits = 0

    def count_item(self, item: str) -> None:
        """Count an action on this item, for the popularity."""
        self._counts[item] += 1

    def update_popular(self) -> None:
        """Recompute the top 20 of the counted items; now and then is enough."""
        self._counted = frozenset(item for item, _ in self._counts.most_common(TOP))

    def add(self, item: str, hit: bool) -> None:
        """Count a click on this item; ``hit``: the latest score had it."""
        self.clicks += 1
        self.hits += hit
        self._trained_hits += item in self._trained
        self._counted_hits += item in self._counted

    @property
    def rate(self) -> float:
        """The share of clicks that the scores predicted; 0 before the first click."""
        return self.hits / max(1, self.clicks)

    @property
    def baseline(self) -> tuple[float, str]:
        """The share of clicks that popularity predicted, and which of the two it is."""
        if self._counted_hits >= self._trained_hits:
            return self._counted_hits / max(1, self.clicks), "counted live"
        return self._trained_hits / max(1, self.clicks), "of the training data"
