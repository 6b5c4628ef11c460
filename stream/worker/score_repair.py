"""Score repair: scores again the users whose last score came from a fenced worker."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.events import Message
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.commits import CommitNote, group_headers, group_of
from stream.kafka.fetching.lenient_headers import LenientConsumer
from stream.kafka.fetching.log_reader import END_WAIT_MS, is_caught_up
from stream.kafka.producer import Publisher, Record, await_acks
from stream.kafka.write_fence import WriteFence
from stream.pipeline.encoding import AsOf, ScoreEncoder
from stream.pipeline.scoring import Device
from stream.pipeline.topics import Topics
from stream.storage.applied_offset import applied_offset_of_score, tombstone_headers
from stream.storage.store import StateStore
from stream.user_state import UserState, applied_offset_of, is_forgotten

_log = structlog.get_logger(__name__)


class LastScore(NamedTuple):
    """A user's last record in the scores topic; ``is_ours`` if a worker of our group wrote it."""

    applied_offset: int | None
    is_tombstone: bool
    is_ours: bool = True

    def is_stale(self, state: bytes | None, committed: int) -> bool:
        """Whether it covers fewer events than the state, or is another group's.

        A user without a state is either forgotten for good, or their first event is read again.
        """
        if not self.is_ours and state is not None:
            return True
        if self.applied_offset is None:
            return False
        if state is None:
            return not self.is_tombstone and self.applied_offset < committed
        return self.applied_offset < applied_offset_of(state)


class ScoresTail(NamedTuple):
    """The part of a scores partition that was written since the last commit."""

    committed: int  # offset of the next event
    end: int
    last: dict[bytes, LastScore]  # by user
    groups: frozenset[str] = frozenset()  # other ones, which wrote there too


class ScoreRepair:
    """Examines, after an assignment, the scores written since the last commit.

    Usually they belong to batches whose commit is missing, and these come again. But a score that
    covers fewer events than its user's state arrived after a newer one, from a worker that had lost
    the partition, and would stay the user's last score until their next event.
    """

    def __init__(
        self,
        topics: Topics,
        client_options: Mapping[str, Any],
        publisher: Publisher,
        device: Device,
        store: StateStore,
        fence: WriteFence,
    ) -> None:
        self._topics = topics
        self._client_options = client_options
        self._publisher = publisher
        self._device = device
        self._store = store
        self._fence = fence

    async def read(self, committed: Mapping[int, OffsetMetadata | None]) -> dict[int, ScoresTail]:
        """Read the tail of each partition; raises KafkaError."""
        if not committed:
            return {}
        consumer = LenientConsumer(
            **self._client_options,
            auto_offset_reset="latest",  # the topic was recreated, or the noted offset is deleted
            enable_auto_commit=False,
            fetch_max_wait_ms=END_WAIT_MS,
        )
        await consumer.start()
        try:
            return await self._read(consumer, committed)
        finally:
            await consumer.stop()

    async def _read(
        self, consumer: AIOKafkaConsumer, committed: Mapping[int, OffsetMetadata | None]
    ) -> dict[int, ScoresTail]:
        lagging = {TopicPartition(self._topics.scores, number) for number in committed}
        consumer.assign(lagging)
        for tp in lagging:
            commit = committed[tp.partition]
            scores_end = None if commit is None else CommitNote.decode(commit.metadata).scores_end
            if scores_end is None:
                await consumer.seek_to_end(tp)
            else:
                consumer.seek(tp, scores_end)
        last: dict[int, dict[bytes, LastScore]] = {number: {} for number in committed}
        groups: dict[int, set[str]] = {number: set() for number in committed}
        tails = {}
        while lagging:
            for tp, messages in (await consumer.getmany(*lagging, timeout_ms=END_WAIT_MS)).items():
                last[tp.partition] |= _last_scores(messages, self._topics.group)
                groups[tp.partition] |= _groups(messages)
            for tp in [tp for tp in lagging if await is_caught_up(consumer, tp)]:
                commit, end = committed[tp.partition], await consumer.position(tp)
                offset = 0 if commit is None else commit.offset
                others = frozenset(groups[tp.partition] - {self._topics.group})
                tails[tp.partition] = ScoresTail(offset, end, last[tp.partition], others)
                lagging.discard(tp)
        return tails

    async def repair(self, tails: Mapping[int, ScoresTail]) -> None:
        """Score the users of stale scores again; their state must be recovered.

        From here on the fence expects these partitions to hold our scores alone. Raises
        DeliveryError, and FencedError if another worker writes meanwhile.
        """
        scores = self._topics.scores
        self._fence.reset({(scores, number): t.end for number, t in tails.items()})
        for number, tail in tails.items():
            states = await asyncio.to_thread(self._store.get_many, number, list(tail.last))
            stale = {
                key: state
                for (key, last), state in zip(tail.last.items(), states, strict=True)
                if last.is_stale(state, tail.committed)
            }
            if stale:
                await self._send(number, await self._records(number, stale))
                _log.warning("stale scores repaired", partition=number, users=len(stale))

    async def _records(self, number: int, states: Mapping[bytes, bytes | None]) -> list[Record]:
        users, records, headers = {}, list[Record](), group_headers(self._topics.group)
        for key, value in states.items():
            if value is None or is_forgotten(value):
                offset = None if value is None else applied_offset_of(value)
                records.append((key, None, tombstone_headers(offset) + headers))
            else:
                users[key] = UserState.from_bytes(value)
        sequences = [user.sequence() for user in users.values()]
        scored = await self._device.score(sequences)
        encoder = ScoreEncoder(self._topics.events, scored.model)
        now_ms = time.time_ns() // 1_000_000
        for key, sequence, score in zip(users, sequences, scored.scores, strict=True):
            if not isinstance(score, Exception):  # else its dead letter was sent before
                as_of = AsOf(number, users[key].applied_offset, sequence.now_ms)
                prediction = encoder.prediction(score)
                value = encoder.encode(key, as_of, prediction, now_ms, len(sequence.items))
                records.append((key, value, headers))
        return records

    async def _send(self, number: int, records: list[Record]) -> None:
        if records:
            scores = self._topics.scores
            self._fence.sending(scores, number)
            deliveries = await self._publisher.send(scores, number, records)
            await await_acks(scores, deliveries)
            self._fence.acknowledged(scores, deliveries)


def _last_scores(messages: Iterable[Message], group: str) -> dict[bytes, LastScore]:
    """The last record of each user; earlier ones are not even decoded."""
    last = {message.key: message for message in messages if message.key is not None}
    return {
        key: LastScore(
            applied_offset_of_score(message.value, message.headers),
            message.value is None,
            group_of(message.headers) == group,
        )
        for key, message in last.items()
    }


def _groups(messages: Iterable[Message]) -> set[str]:
    return {group for m in messages if (group := group_of(m.headers)) is not None}
