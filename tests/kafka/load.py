"""The load: a seeded log with everything in it that a worker must cope with."""

import json
import random
from bisect import bisect
from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate
from typing import Any
from zlib import crc32

from tests.kafka.faults import BAD_MESSAGES
from tests.kafka.message import Message
from tests.oracle.hashing import partition_of

START_MS = 1_700_000_000_000  # long ago: brokers refuse time stamps of the future
BAD_SHARE = 0.05
CATEGORIES = ("shoes", "hats", "Schuhe & Söhne › Größe 50", "", "靴")
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000


class Load:
    """Makes messages one after the other; two loads of one seed are the same.

    Event time goes on by two seconds an event and, four fifths through, jumps by more than the
    time to live. User popularity is Zipf's with exponent 1.1.
    """

    def __init__(
        self,
        seed: int,
        items: Sequence[str],
        n_events: int = 20_000,
        n_users: int = 500,
        n_partitions: int = 4,
    ) -> None:
        self._random = random.Random(seed)
        self._items = [*items, *(f"unknown-{n}" for n in range(max(1, len(items) // 20)))]
        self._n_events = n_events
        self._n_partitions = n_partitions
        self._users = [_user_id(n) for n in range(n_users)]
        self._shares = list(accumulate(1 / rank**1.1 for rank in range(1, n_users + 1)))
        self._now_ms = START_MS
        self._next_id = 0
        self._sent: dict[str, deque[Message]] = defaultdict(lambda: deque(maxlen=100))
        self._last_ts: dict[str, int] = {}

    def messages(self) -> list[Message]:
        """All of them, in the order in which they are to be produced."""
        made = []
        for number in range(self._n_events):
            self._now_ms += int(self._random.expovariate(1 / 2000)) + 1
            if number == self._n_events * 4 // 5:
                self._now_ms += 31 * DAY_MS
            made.append(self._message())
        return made

    def _message(self) -> Message:
        draw = self._random.random()
        user = self._user()
        if draw < BAD_SHARE:
            return self._bad(user)
        if draw < BAD_SHARE + 0.03 and self._sent[user]:
            # Mostly a retry of a moment ago; the older ones may have left the window.
            recent = list(self._sent[user])
            at = -self._random.randint(1, 10) if self._random.random() < 0.8 else 0
            return recent[max(at, -len(recent))]._replace(timestamp_ms=self._now_ms)
        if draw < BAD_SHARE + 0.036:
            return self._forget(self._random.choice(self._users))
        return self._event(user)

    def _event(self, user: str) -> Message:
        body: dict[str, Any] = {
            "user_id": user,
            "item_id": self._random.choice(self._items),
            "action": self._random.choices(["click", "cart", "buy"], [85, 10, 5])[0],
        }
        headers: tuple[tuple[str, bytes], ...] = ()
        ts, event_id = self._ts(user), self._event_id()
        self._last_ts[user] = ts
        if self._random.random() < 0.1:  # in CloudEvents binary mode, where headers win
            headers = (("ce_specversion", b"1.0"), ("ce_time", _iso(ts, "Z").encode()))
            if event_id:
                headers += (("ce_id", event_id.encode()),)
            if self._random.random() < 0.5:
                body |= {"ts": 1, "event_id": "the header wins"}
        else:
            zone = self._random.choice(["Z", "+00:00", "+05:30", "-08:00"])
            body["ts"] = _iso(ts, zone) if self._random.random() < 0.1 else ts
            if event_id or self._random.random() < 0.1:
                body["event_id"] = event_id
        if (number := crc32(body["item_id"].encode()) % 16) < len(CATEGORIES):
            body["category"] = CATEGORIES[number]  # by the item, and for most items none
        if self._random.random() < 0.2:
            body |= {"price": 9.5, "quantity": 2, "session_id": "s", "category": None, "new": [{}]}
        message = self._record(user, body, headers)
        if self._random.random() < 0.02:
            # As mirrors and old producers send it, and producers that count in seconds.
            stamp = self._random.choice([-1, 0, self._now_ms // 1000])
            message = message._replace(timestamp_ms=stamp)
        if event_id:
            self._sent[user].append(message)
        return message

    def _ts(self, user: str) -> int:
        """Event time: mostly now, else out of order, late, in the future or the same again."""
        draw = self._random.random()
        if draw < 0.03:
            return self._now_ms - self._random.randint(1, 55) * MINUTE_MS
        if draw < 0.05:
            return self._now_ms - self._random.randint(61, 600) * MINUTE_MS
        if draw < 0.06:
            return self._now_ms + self._random.randint(300_001, 10 * DAY_MS)
        if draw < 0.07:
            return self._now_ms + self._random.randint(1, 300_000)
        if draw < 0.1 and user in self._last_ts:
            return self._last_ts[user]
        return self._now_ms - self._random.randint(0, 20_000)

    def _event_id(self) -> str | None:
        if self._random.random() < 0.4:
            return None
        self._next_id += 1
        return f"e-{self._next_id}"

    def _forget(self, user: str) -> Message:
        self._last_ts.pop(user, None)
        body: dict[str, Any] = {"user_id": user, "action": "forget"}
        if self._random.random() < 0.5:
            body |= {"ts": self._now_ms, "event_id": f"f-{self._now_ms}"}
        return self._record(user, body)

    def _bad(self, user: str) -> Message:
        make = self._random.choice(BAD_MESSAGES)
        body = {
            "user_id": user,
            "item_id": self._random.choice(self._items),
            "action": "click",
            "ts": self._now_ms,
        }
        return make(self._record(user, body), body, self._n_partitions)

    def _record(
        self, user: str, body: dict[str, Any], headers: tuple[tuple[str, bytes], ...] = ()
    ) -> Message:
        key = user.encode()
        sent_key = None if self._random.random() < 0.02 else key
        value = json.dumps(body, ensure_ascii=self._random.random() < 0.5).encode()
        partition = partition_of(key, self._n_partitions)
        return Message(partition, self._now_ms, sent_key, value, headers)

    def _user(self) -> str:
        return self._users[bisect(self._shares, self._random.random() * self._shares[-1])]


def _user_id(number: int) -> str:
    """Mostly plain ids; some that are long, or of several bytes a character."""
    if number % 50 == 7:
        return f"käufer-{number}-🛒"
    if number % 100 == 11:
        return f"u{number}".ljust(256, "🛍")
    return f"user-{number}"


def _iso(ts: int, zone: str) -> str:
    moment = datetime.fromtimestamp(ts // 1000, UTC) + timedelta(milliseconds=ts % 1000)
    if zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        offset = sign * timedelta(hours=int(zone[1:3]), minutes=int(zone[4:]))
        moment = moment.astimezone(timezone(offset))
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + zone
