"""The amends: whose last score came too late, from who had lost the partition, gets another."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.events import Message
from stream.group.offset_metadata import Commit
from stream.kafka.producer import NO_HEADERS, Publisher, Record, acknowledged
from stream.kafka.write_fence import Succession
from stream.pipeline.delivery import Topics
from stream.pipeline.encoding import AsOf, ScoreEncoder
from stream.pipeline.scoring import Device
from stream.storage.applied_offset import headers_of_null, reach_of_score
from stream.storage.recovery import at_end
from stream.storage.store import StateStore
from stream.user_state import UserState, applied_offset_of, is_forgotten

_log = structlog.get_logger(__name__)


class Last(NamedTuple):
    """A user's last record in the scores topic: how far it reaches, and whether it is a null."""

    reach: int | None
    withdrawn: bool

    def is_late(self, state: bytes | None, committed: int) -> bool:
        """Whether it is of less than the state.

        Where there is no state, the user is forgotten for good, or the first event comes again.
        """
        if self.reach is None:
            return False
        if state is None:
            return not self.withdrawn and self.reach < committed
        return self.reach < applied_offset_of(state)


class Tail(NamedTuple):
    """What stands in the scores topic behind the last commit."""

    committed: int  # of the events topic: what comes next
    end: int
    last: dict[bytes, Last]  # by user


class Amends:
    """Looks, when partitions are assigned, at the scores behind the last commit.

    Mostly they are those of batches that were not committed, which come again. But one that is of
    less than its user's state arrived behind a later one, and would stand until the next event.
    """

    def __init__(
        self,
        topics: Topics,
        client_options: Mapping[str, Any],
        publisher: Publisher,
        device: Device,
        store: StateStore,
        succession: Succession,
    ) -> None:
        self._topics = topics
        self._client_options = client_options
        self._publisher = publisher
        self._device = device
        self._store = store
        self._succession = succession

    async def read(self, commits: Mapping[int, Commit | None]) -> dict[int, Tail]:
        """Read the tails of these partitions; raises KafkaError."""
        if not commits:
            return {}
        consumer = AIOKafkaConsumer(
            **self._client_options,
            auto_offset_reset="latest",  # the topic was made anew, or what was noted is deleted
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            return await self._read(consumer, commits)
        finally:
            await consumer.stop()

    async def _read(
        self, consumer: AIOKafkaConsumer, commits: Mapping[int, Commit | None]
    ) -> dict[int, Tail]:
        behind = {TopicPartition(self._topics.scores, number) for number in commits}
        consumer.assign(behind)
        for tp in behind:
            commit = commits[tp.partition]
            if commit is None or commit.scores_end is None:
                await consumer.seek_to_end(tp)
            else:
                consumer.seek(tp, commit.scores_end)
        last: dict[int, dict[bytes, Last]] = {number: {} for number in commits}
        tails = {}
        while behind:
            for tp, messages in (await consumer.getmany(*behind, timeout_ms=200)).items():
                last[tp.partition] |= _last(messages)
            for tp in [tp for tp in behind if await at_end(consumer, tp)]:
                commit, end = commits[tp.partition], await consumer.position(tp)
                committed = 0 if commit is None else commit.offset
                tails[tp.partition] = Tail(committed, end, last[tp.partition])
                behind.discard(tp)
        return tails

    async def make(self, tails: Mapping[int, Tail]) -> None:
        """Score those again whose last score came too late; their state must be recovered.

        From now on the scores of these partitions must be our own. Raises DeliveryError, and
        FencedError if somebody else writes meanwhile.
        """
        scores = self._topics.scores
        self._succession.start_over({(scores, number): t.end for number, t in tails.items()})
        for number, tail in tails.items():
            states = self._store.get_many(number, list(tail.last))
            late = {
                key: state
                for (key, last), state in zip(tail.last.items(), states, strict=True)
                if last.is_late(state, tail.committed)
            }
            if late:
                await self._write(number, late)
                _log.warning("scores mended", partition=number, users=len(late))

    async def _write(self, number: int, late: Mapping[bytes, bytes | None]) -> None:
        users, records = {}, list[Record]()
        for key, value in late.items():
            if value is None or is_forgotten(value):
                reach = None if value is None else applied_offset_of(value)
                records.append((key, None, headers_of_null(reach)))
            else:
                users[key] = UserState.from_bytes(value)
        scored = await self._device.score([user.sequence() for user in users.values()])
        encode = ScoreEncoder(self._topics.events, scored.model).encode
        now_ms = time.time_ns() // 1_000_000
        for (key, user), score in zip(users.items(), scored.scores, strict=True):
            if not isinstance(score, Exception):  # it is in the dead letter topic already
                as_of = AsOf(number, user.applied_offset, user.as_of_ms)
                value = encode(key, as_of, score, now_ms, len(user.items))
                records.append((key, value, NO_HEADERS))
        if records:
            scores = self._topics.scores
            self._succession.sends(scores, number)
            deliveries = await self._publisher.send(scores, number, records)
            await acknowledged(scores, deliveries)
            self._succession.follow(scores, deliveries)


def _last(messages: Iterable[Message]) -> dict[bytes, Last]:
    """Of each user the last one; of those before, not even the reach is asked."""
    last = {message.key: message for message in messages if message.key is not None}
    return {
        key: Last(reach_of_score(message.value, message.headers), message.value is None)
        for key, message in last.items()
    }
