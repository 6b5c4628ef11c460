"""The workloads: which users have how many events, before the clock starts and while it runs."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from benchmarks import events
from benchmarks.events import Record
from benchmarks.peers.compact import ACTIONS_KEPT, Action

States = dict[str, list[Action]]


class Log(NamedTuple):
    """The records of one run: those before the clock starts, and those that are measured."""

    before: list[Record]
    measured: list[Record]
    users: int

    def states(self) -> States:
        """The last actions of each user who has a measured event, as every engine must end."""
        active = {key for key, _ in self.measured}
        found: dict[bytes, deque[Action]] = {key: deque(maxlen=ACTIONS_KEPT) for key in active}
        for key, value in (*self.before, *self.measured):
            if key in found:
                event = orjson.loads(value)
                found[key].append((event["item_id"], event["action"], event["ts"]))
        return {key.decode(): list(actions) for key, actions in found.items()}


class Workload(NamedTuple):
    """One kind of log; it scales with the number of measured events.

    ``per_user`` measured events a user, on average, follow ``before`` events that are not. With
    fewer ``partitions`` each has more users, of whom more may wait at a time.
    """

    name: str
    title: str
    events: int  # measured, unless the user wants another number
    per_user: int
    before: int
    partitions: int = 4
    shape: events.Users = "round robin"

    def users(self, count: int, share: float = 1.0) -> int:
        """The number of users in a log of ``count`` measured events, of which a share is taken."""
        return int(count * share) // self.per_user

    def log(self, count: int, share: float = 1.0, items: Sequence[str] = events.ITEMS) -> Log:
        """The log of ``count`` measured events, of which a share is taken."""
        users = self.users(count, share)
        measured, before = int(count * share), users * self.before
        records = events.make(before + measured, users, self.shape, items=items)
        return Log(records[:before], records[before:], users)


SHORT = Workload("short", "short histories, 8 actions on average", 200_000, 8, 4)
FULL = Workload("full", "full histories, 50 actions", 100_000, 10, ACTIONS_KEPT, 2)
ZIPF = Workload("zipf", "users by Zipf's law, exponent 1.1", 160_000, 8, 4, shape="zipf")
WORKLOADS = {workload.name: workload for workload in (SHORT, FULL, ZIPF)}


def of_user(pairs: Iterable[tuple[str, str, int]]) -> list[Action]:
    """Actions as tuples, from whatever JSON made of them."""
    return [(item, action, ts_ms) for item, action, ts_ms in pairs]
