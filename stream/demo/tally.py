"""The demo's books: every event until a score covers it, how long that took, what was foreseen."""

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


class Sent:
    """An event on its way; it has an offset once the broker has it."""

    __slots__ = ("at_s", "offset")

    def __init__(self, at_s: float) -> None:
        self.at_s = at_s
        self.offset: int | None = None


class Account:
    """One user: the events no score covers yet, and the score that covers most."""

    __slots__ = ("as_of", "scored_s", "top", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[Sent] = deque()
        self.as_of = -1  # offset of the last event in the latest score
        self.scored_s = 0.0
        self.top: Sequence[str] = ()


class Tally:
    """Counts what goes in and what comes out; all times are of one monotonic clock.

    Events before ``open`` are history: they are accounted for, but they are not timed, and no
    score has to foresee them.
    """

    def __init__(self, popular: Sequence[str] = ()) -> None:
        """``popular`` is the top 20 of the training data, best first."""
        self.accounts: dict[str, Account] = {}
        self.events = 0
        self.scores = 0
        self.history = 0
        self.settled = 0
        self.foresight = Foresight(popular)
        self.live = False  # the doors are open
        self._latencies = array("d")
        self._pace: deque[tuple[float, int, int]] = deque()

    def open(self) -> None:
        """From here on events count for speed and foresight."""
        self.live = True
        self.history = self.events

    def sent(self, event: dict[str, Any], now_s: float) -> tuple[Sent, bool]:
        """An event goes out; tells whether the user's score had it in its top 20."""
        account = self.accounts.setdefault(event["user_id"], Account())
        foreseen = event["action"] == "click" and event["item_id"] in account.top
        if self.live and event["action"] == "click" and account.top:
            self.foresight.click(event["item_id"], foreseen)
        self.foresight.count(event["item_id"])
        self.events += 1
        entry = Sent(now_s)
        account.waiting.append(entry)
        return entry, foreseen

    def placed(self, user_id: str, entry: Sent, offset: int) -> None:
        """The broker has the event. Its score may have come before we hear of that."""
        entry.offset = offset
        self._settle(self.accounts[user_id])

    def scored(self, user_id: str, score: dict[str, Any], now_s: float) -> None:
        """A score comes out; an older one than the latest, sent again, changes nothing."""
        self.scores += 1
        account = self.accounts.setdefault(user_id, Account())
        if score["as_of"]["offset"] <= account.as_of:
            return
        account.as_of = score["as_of"]["offset"]
        account.scored_s = now_s
        account.top = [item["item_id"] for item in score["items"][:TOP]]
        self._settle(account)

    def _settle(self, account: Account) -> None:
        waiting = account.waiting
        while waiting and waiting[0].offset is not None and waiting[0].offset <= account.as_of:
            entry = waiting.popleft()
            self.settled += 1
            if self.live:
                self._latencies.append(account.scored_s - entry.at_s)

    @property
    def users(self) -> int:
        """How many users have sent something."""
        return len(self.accounts)

    @property
    def unscored(self) -> int:
        """Events that no score covers yet."""
        return self.events - self.settled

    def missing(self) -> list[str]:
        """The users whose last event no score covers."""
        return [user for user, account in self.accounts.items() if account.waiting]

    def latency(self, recent: bool = False) -> Latency | None:
        """Of all live events that are scored, or of the last thousand; None when there is none."""
        seconds = sorted(self._latencies[-RECENT:] if recent else self._latencies)
        if not seconds:
            return None
        return Latency(seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.99)])

    def rates(self, now_s: float) -> tuple[float, float]:
        """Events and scores per second over the last seconds; call it a few times a second."""
        pace = self._pace
        pace.append((now_s, self.events, self.scores))
        while now_s - pace[0][0] > RATE_OVER_S:
            pace.popleft()
        then_s, events, scores = pace[0]
        passed_s = now_s - then_s
        if passed_s <= 0:
            return 0.0, 0.0
        return (self.events - events) / passed_s, (self.scores - scores) / passed_s


class Foresight:
    """How often the next click was in the top 20 of the score before it.

    Popularity answers beside it, in both its ways: as in the training data, and as counted here
    until the click. The stronger one is the baseline.
    """

    def __init__(self, popular: Sequence[str]) -> None:
        self.clicks = 0
        self.hits = 0
        self._trained = frozenset(popular[:TOP])
        self._trained_hits = 0
        self._counts: Counter[str] = Counter()
        self._counted: frozenset[str] = frozenset()
        self._counted_hits = 0

    def count(self, item: str) -> None:
        """Somebody did something with this item."""
        self._counts[item] += 1

    def rank(self) -> None:
        """Make the top 20 of what was counted; now and then is enough."""
        self._counted = frozenset(item for item, _ in self._counts.most_common(TOP))

    def click(self, item: str, foreseen: bool) -> None:
        """A click on this item, which the score had or had not."""
        self.clicks += 1
        self.hits += foreseen
        self._trained_hits += item in self._trained
        self._counted_hits += item in self._counted

    @property
    def share(self) -> float:
        """Of the clicks, those foreseen; 0 before the first."""
        return self.hits / max(1, self.clicks)

    @property
    def popularity(self) -> tuple[float, str]:
        """The same for popularity, and which of the two it is."""
        if self._counted_hits >= self._trained_hits:
            return self._counted_hits / max(1, self.clicks), "counted live"
        return self._trained_hits / max(1, self.clicks), "of the training data"
