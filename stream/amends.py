"""The amends: whose last score came too late, from who had lost the partition, gets another."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.changelog import headers_of_tombstone, reach_of
from stream.committed import Commit
from stream.outlet import Topics
from stream.publishing import NO_HEADERS, AsOf, Publisher, Record, ScoreEncoder, acknowledged
from stream.recovery import at_end
from stream.scoring import Device
from stream.state import UserState, applied_offset_of, is_forgotten
from stream.store import StateStore
from stream.succession import Succession

Reach = int | None  # the source offset that a score is of; None where it does not say
_log = structlog.get_logger(__name__)


class Tail(NamedTuple):
    """What stands in the scores topic behind the last commit, by partition."""

    ends: dict[int, int]
    reaches: dict[int, dict[bytes, Reach]]  # by user: of the last score
    withdrawn: dict[int, set[bytes]]  # users whose last score is a null


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

    async def read(self, commits: Mapping[int, Commit | None]) -> Tail:
        """Read the tails of these partitions; raises KafkaError."""
        tail = Tail({}, {number: {} for number in commits}, {number: set() for number in commits})
        if not commits:
            return tail
        consumer = AIOKafkaConsumer(
            **self._client_options,
            auto_offset_reset="latest",  # the topic was made anew, or what was noted is deleted
            enable_auto_commit=False,
            fetch_max_wait_ms=100,
        )
        await consumer.start()
        try:
            await self._read(consumer, commits, tail)
        finally:
            await consumer.stop()
        return tail

    async def _read(
        self, consumer: AIOKafkaConsumer, commits: Mapping[int, Commit | None], tail: Tail
    ) -> None:
        behind = {TopicPartition(self._topics.scores, number) for number in commits}
        consumer.assign(behind)
        for tp in behind:
            commit = commits[tp.partition]
            if commit is None or commit.scores_end is None:
                await consumer.seek_to_end(tp)
            else:
                consumer.seek(tp, commit.scores_end)
        while behind:
            for tp, messages in (await consumer.getmany(*behind, timeout_ms=200)).items():
                last = {message.key: message for message in messages if message.key is not None}
                for key, message in last.items():
                    tail.reaches[tp.partition][key] = _reach(message.value, message.headers)
                    withdrawn = tail.withdrawn[tp.partition]
                    withdrawn.discard(key) if message.value else withdrawn.add(key)
            for tp in [tp for tp in behind if await at_end(consumer, tp)]:
                tail.ends[tp.partition] = await consumer.position(tp)
                behind.discard(tp)

    async def make(self, commits: Mapping[int, Commit | None], tail: Tail) -> None:
        """Score those again whose last score came too late; their state must be recovered.

        From now on the scores of these partitions must be our own. Raises DeliveryError, and
        FencedError if somebody else writes meanwhile.
        """
        scores = self._topics.scores
        self._succession.start_over({(scores, number): end for number, end in tail.ends.items()})
        for number, reaches in tail.reaches.items():
            commit = commits[number]
            states = dict(zip(reaches, self._store.get_many(number, list(reaches)), strict=True))
            late = {
                key: states[key]
                for key, reach in reaches.items()
                if _is_late(
                    reach,
                    states[key],
                    0 if commit is None else commit.offset,
                    withdrawn=key in tail.withdrawn[number],
                )
            }
            if late:
                await self._write(number, late)
                _log.warning("scores mended", partition=number, users=len(late))

    async def _write(self, number: int, late: Mapping[bytes, bytes | None]) -> None:
        users, records = {}, list[Record]()
        for key, value in late.items():
            if value is None or is_forgotten(value):
                reach = None if value is None else applied_offset_of(value)
                records.append((key, None, headers_of_tombstone(reach)))
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


def _reach(value: bytes | None, headers: Any) -> Reach:
    if value is None:
        return reach_of(None, headers)
    try:
        return int(orjson.loads(value)["as_of"]["offset"])
    except (ValueError, TypeError, KeyError):
        return None  # not one of ours


def _is_late(reach: Reach, state: bytes | None, committed: int, *, withdrawn: bool) -> bool:
    """Whether a score of less than the state stands last.

    Where there is no state, the user is forgotten for good, or the first event comes again.
    """
    if reach is None:
        return False
    if state is None:
        return not withdrawn and reach < committed
    return reach < applied_offset_of(state)
