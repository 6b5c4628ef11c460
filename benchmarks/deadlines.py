"""The cost of the batch deadline, simulated on one core: ``python -m benchmarks.deadlines``.

The batcher is the real one; time, shoppers and scorer are simulated, so the figures are the same
everywhere. They leave out Kafka and RocksDB, which need the rest of the core.
"""

import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice
from typing import NamedTuple

from stream.pipeline.batcher import BatchPolicy, MicroBatcher

# A transformer of width 64 on 50,000 items, one thread: a batch costs 1.2 ms, and 80 µs a user.
BATCH_S, USER_S = 1.2e-3, 80e-6
CLOSE_USERS, MAX_USERS = 256, 5000
SHOPPERS = 100_000
SECONDS = 20.0
LOADS = (0.1, 0.5, 0.85)  # share of the core's capacity, with one user per event
DEADLINES_S = (0.2, 0.05, 0.025)

Click = tuple[float, int]  # time in seconds, shopper


class Service(NamedTuple):
    """How long the scorer takes, in seconds."""

    batch_s: float  # for a batch
    user_s: float  # and for each user in it


class Outcome(NamedTuple):
    """The result of one simulation."""

    mean_s: float  # from event to score
    p99_s: float
    core: float  # share of the time that the scorer is busy
    scores_per_event: float


def simulate(
    clicks: Sequence[Click], policy: BatchPolicy, service: Service | None = None
) -> Outcome:
    """Simulate one core that scores these clicks, in order of time; must not be empty."""
    batch_s, user_s = service or Service(BATCH_S, USER_S)
    batcher = MicroBatcher(policy)
    waiting: dict[int, list[float]] = {}
    waits_s: list[float] = []
    now_s = busy_s = 0.0
    n_scores = position = 0
    while position < len(clicks) or len(batcher):
        due_s = batcher.next_wakeup()
        if due_s is None or (position < len(clicks) and clicks[position][0] <= max(due_s, now_s)):
            at_s, shopper = clicks[position]
            batcher.add(at_s, 0, users=int(shopper not in waiting))
            waiting.setdefault(shopper, []).append(at_s)
            position += 1
            now_s = max(now_s, at_s)
            continue
        users = batcher.take().users[0]
        service_s = batch_s + user_s * users
        now_s = max(due_s, now_s) + service_s
        busy_s += service_s
        n_scores += users
        for shopper in list(islice(waiting, users)):  # the longest-waiting first
            waits_s += [now_s - at_s for at_s in waiting.pop(shopper)]
        batcher.done()
    waits_s.sort()
    p99_s = waits_s[int(0.99 * len(waits_s))]
    return Outcome(sum(waits_s) / len(waits_s), p99_s, busy_s / now_s, n_scores / len(clicks))


def clicks(per_s: float, seconds: float, seed: int = 0) -> Iterator[Click]:
    """Clicks at random times, by shoppers with a Zipf distribution (exponent 1)."""
    rng = random.Random(seed)
    sums = list(accumulate(1 / rank for rank in range(1, SHOPPERS + 1)))
    at_s = rng.expovariate(per_s)
    while at_s < seconds:
        yield at_s, bisect(sums, rng.random() * sums[-1])
        at_s += rng.expovariate(per_s)


def main() -> None:
    """Print a table in Markdown."""
    capacity = CLOSE_USERS / (BATCH_S + USER_S * CLOSE_USERS)
    print("| load | deadline | event to score, mean / p99 | core | scores per event |")
    print("|---|---|---|---|---|")
    for load in LOADS:
        found = list(clicks(load * capacity, SECONDS))
        for deadline_s in DEADLINES_S:
            mean_s, p99_s, core, scores = simulate(
                found, BatchPolicy(CLOSE_USERS, MAX_USERS, deadline_s)
            )
            print(
                f"| {load * capacity:,.0f}/s | {deadline_s * 1000:.0f} ms "
                f"| {mean_s * 1000:.0f} / {p99_s * 1000:.0f} ms | {core:.0%} | {scores:.2f} |"
            )


if __name__ == "__main__":
    main()
