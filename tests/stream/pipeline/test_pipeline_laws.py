"""Whatever order the answers come in, and wherever the worker dies: nothing lost, nothing twice.

Messages, acknowledgements, commits and crashes come in any order. What may be committed is checked
after every step, and at the end everything against a fold of the log without any worker.
"""

import asyncio
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.events import FORGET
from stream.storage.store import StateStore
from stream.user_state import UserState
from tests.stream.fakes import (
    NOW_MS,
    FakeMessage,
    ManualPublisher,
    Sent,
    click,
    event,
    forget,
    settle,
)
from tests.stream.world import LIMITS, RULES, World

pytestmark = pytest.mark.usefixtures("core")

PARTITIONS = (0, 1)
STEPS = st.lists(
    st.sampled_from(
        [*("feed",) * 6, *("answer",) * 6, "hold", "hold the disk", "release", "commit", "crash"]
    ),
    max_size=30,
)
kinds = st.sampled_from(["click", "click", "click", "same id", "early", "forget", "bad", "bad"])


class Log:
    """The events topic, and what a fold of it should come to."""

    def __init__(self) -> None:
        self.messages: dict[int, list[FakeMessage]] = {partition: [] for partition in PARTITIONS}
        self.dead: dict[int, set[int]] = defaultdict(set)
        self.effective: dict[tuple[int, str], list[int]] = defaultdict(list)  # offsets that count
        self.states: dict[tuple[int, str], UserState] = defaultdict(UserState)

    def append(self, partition: int, name: str, kind: str) -> None:
        user, offset = f"{partition}{name}", len(self.messages[partition])
        ts_ms = NOW_MS + offset - (5 if kind == "early" else 0)
        if kind == "bad":
            self.messages[partition].append(FakeMessage(b"bad", user.encode(), offset))
            self.dead[partition].add(offset)
            return
        event_id = "again" if kind == "same id" else None
        action = FORGET if kind == "forget" else "click"
        wish = forget(user, offset)
        message = wish if action == FORGET else click(user, offset, ts=ts_ms, event_id=event_id)
        self.messages[partition].append(message)
        outcome = self.states[partition, user].apply(
            event(
                *(offset, ts_ms),
                key=user.encode(),
                action=action,
                event_id=event_id,
                timestamp_ms=NOW_MS,
            ),
            RULES,
        )
        if outcome != "duplicate":
            self.effective[partition, user].append(offset)


class Shop:
    """One worker after the other on the same topics, the disk kept or lost in between."""

    def __init__(self, directory: Path, data: st.DataObject) -> None:
        self.data = data
        self.store = StateStore(directory, lambda cause: None)
        self.log = Log()
        self.publisher = ManualPublisher()
        self.committed = dict.fromkeys(PARTITIONS, 0)
        self.fed = dict.fromkeys(PARTITIONS, 0)
        self.world = self.start()

    def start(self) -> World:
        limits = LIMITS._replace(cache_users=self.data.draw(st.sampled_from([1, 1000]), "cache"))
        return World(self.store, publisher=self.publisher, limits=limits)

    def draw(self, strategy: Any, label: str) -> Any:
        return self.data.draw(strategy, label)

    # --- steps -----------------------------------------------------------------------------------

    async def step(self, name: str) -> None:
        if name == "feed":
            for _ in range(self.draw(st.integers(1, 3), "messages")):
                partition = self.draw(st.sampled_from(PARTITIONS), "partition")
                self.log.append(
                    partition, self.draw(st.sampled_from("ab"), "user"), self.draw(kinds, "kind")
                )
            await self.feed()
        elif name == "answer":
            if unanswered := self.publisher.unanswered():
                self.draw(st.sampled_from(unanswered), "answer").acknowledge()
        elif name == "hold":
            self.world.device.hold()
        elif name == "hold the disk":
            self.world.disk.held = True
        elif name == "release":
            self.release()
        elif name == "commit":
            self.committed |= await self.world.commit()
        else:
            await self.crash()
        await settle()

    async def feed(self) -> None:
        """Hand over what the worker has not read yet."""
        for partition in PARTITIONS:
            news = self.log.messages[partition][self.fed[partition] :]
            self.fed[partition] += len(news)
            if news:
                await self.world.feed(*news, partition=partition)

    def release(self) -> None:
        self.world.device.release()
        self.world.disk.release()

    async def crash(self) -> None:
        """The worker is gone at once; of what it sent last, the broker may have a part."""
        arrived = self.arrived()
        await self.world.end()
        self.publisher = ManualPublisher()
        for sent in arrived:
            self.publisher.take_over(sent)
        self.store.close_others(())
        for partition in PARTITIONS:
            self.store.open(partition)
            if self.draw(st.booleans(), "disk lost"):
                self.store.wipe(partition, "ahead")
            self.recover(partition)
        self.fed = dict(self.committed)
        self.world = self.start()
        await self.feed()

    def arrived(self) -> list[Sent]:
        """What the broker has: all it answered for, and of the rest of each partition a part."""
        arrived: list[Sent] = []
        for place in sorted({(sent.topic, sent.partition) for sent in self.publisher.sent}):
            queue = [sent for sent in self.publisher.sent if (sent.topic, sent.partition) == place]
            answered = max((n for n, s in enumerate(queue, start=1) if s.answer.done()), default=0)
            arrived += queue[: self.draw(st.integers(answered, len(queue)), "arrived")]
        return arrived

    def recover(self, partition: int) -> None:
        """What Recovery does: every change beyond the offset on disk, the last of a user wins."""
        records = self.publisher.log("changelog", partition)
        disk = self.store.changelog_offset(partition)
        news = records[0 if disk is None else disk + 1 :]
        if news:
            self.store.write(partition, dict(news).items(), len(records) - 1)

    async def finish(self) -> None:
        self.release()
        for _ in range(3):  # a commit lets markers go, and their tombstones are answered
            await self.world.acknowledge_all()
            self.committed |= await self.world.commit()

    # --- what must hold --------------------------------------------------------------------------

    def check_positions(self) -> None:
        """Below what may be committed: scored, in the changelog, on disk; or a dead letter."""
        positions = self.world.pipeline.positions()
        letters = self.dead_letters()
        for (partition, user), offsets in self.log.effective.items():
            safe = [offset for offset in offsets if offset < positions.get(partition, 0)]
            if safe:
                assert self.last_score(partition, user)[0] >= safe[-1]
                assert self.last_change(partition, user) >= safe[-1]
                stored = self.world.stored(user, partition)
                assert stored is None or stored.applied_offset >= safe[-1]
        for partition, bad_offsets in self.log.dead.items():
            below = positions.get(partition, 0)
            assert {offset for offset in bad_offsets if offset < below} <= letters[partition]

    def last_score(self, partition: int, user: str) -> tuple[float, int]:
        """Offset and number of actions of the last score; a null covers all that came before."""
        values = [v for k, v in self.publisher.log("scores", partition) if k == user.encode()]
        if not values:
            return -1, 0
        if values[-1] is None:
            return float("inf"), 0
        score = json.loads(values[-1])
        return score["as_of"]["offset"], score["n_events"]

    def last_change(self, partition: int, user: str) -> float:
        values = [v for k, v in self.publisher.log("changelog", partition) if k == user.encode()]
        if not values:
            return -1
        return (
            float("inf") if values[-1] is None else UserState.from_bytes(values[-1]).applied_offset
        )

    def dead_letters(self) -> dict[int, set[int]]:
        found: dict[int, set[int]] = defaultdict(set)
        for sent in self.publisher.sent:
            if sent.topic == "dead" and sent.answer.done():
                for _, _, headers in sent.records:
                    texts = {n: int(text or b"") for n, text in headers if n.endswith(PLACE)}
                    found[texts[PLACE[0]]].add(texts[PLACE[1]])
        return found

    def check_end(self) -> None:
        """Everything is as a fold of the log has it, in all three places."""
        assert self.world.failure() is None
        for partition in PARTITIONS:
            expected = {
                user.encode(): state.to_bytes()
                for (number, user), state in self.log.states.items()
                if number == partition and not state.forgotten
            }
            log = dict(self.publisher.log("changelog", partition))
            assert {k: v for k, v in log.items() if v is not None} == expected
            assert dict(self.store.users(partition)) == expected
            if read := len(self.log.messages[partition]):
                assert self.committed[partition] == read
        for (partition, user), state in self.log.states.items():
            last = (
                (float("inf"), 0) if state.forgotten else (state.applied_offset, len(state.items))
            )
            assert self.last_score(partition, user) == last
        self.check_positions()
        self.check_repeated_scores()

    def check_repeated_scores(self) -> None:
        """A score that was sent again says the same."""
        said: dict[str, dict[str, Any]] = {}
        for partition in PARTITIONS:
            for _, value in self.publisher.log("scores", partition):
                if value is not None:
                    score = json.loads(value)
                    del score["scored_at"]
                    assert said.setdefault(score["score_id"], score) == score


PLACE = ("__streams.errors.partition", "__streams.errors.offset")


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
@given(STEPS, st.data())
def test_whatever_comes_in_whatever_order_nothing_is_lost_and_nothing_counted_twice(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], data: st.DataObject
) -> None:
    async def main() -> None:
        shop = Shop(tmp_path_factory.mktemp("shop"), data)
        try:
            for step in steps:
                await shop.step(step)
                shop.check_positions()
            await shop.finish()
            shop.check_end()
        finally:
            await shop.world.end()
            shop.store.close_all()

    asyncio.run(main())
