"""The commits of a group without members: read, and written anew with another note."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    GroupLoadInProgressError,
    IllegalGenerationError,
    UnknownMemberIdError,
)
from aiokafka.structs import OffsetAndMetadata

from stream.errors import GroupError
from stream.kafka.client_internals import fetch_commits
from stream.kafka.commits import Commit, CommitNote
from stream.kafka.connection_errors import IS_IT_RUNNING, broker_errors
from stream.kafka.fetching.lenient_headers import LenientConsumer
from stream.kafka.security import client_options
from stream.settings import KafkaSettings

# A stopped worker is a member until its session is over: --session-timeout-s.
MEMBERS_GONE_S = 120.0
_AGAIN_S = 1.0
_HAS_MEMBERS = (CommitFailedError, IllegalGenerationError, UnknownMemberIdError)


class GroupCommits:
    """What a group has committed of its events topic, from outside the group."""

    def __init__(self, consumer: LenientConsumer, settings: KafkaSettings) -> None:
        self._consumer = consumer
        self._settings = settings

    async def read(self, partitions: Iterable[int]) -> dict[int, Commit]:
        """The commits of these partitions; none of one that has none. Raises KafkaError."""
        topic = self._settings.events_topic
        found = await fetch_commits(self._consumer, [TopicPartition(topic, n) for n in partitions])
        return {
            tp.partition: Commit(commit.offset, CommitNote.decode(commit.metadata))
            for tp, commit in found.items()
            if commit.offset >= 0
        }

    async def write(self, commits: Mapping[int, Commit]) -> None:
        """Commit; waits while the group has members. Raises GroupError and KafkaError."""
        topic = self._settings.events_topic
        wanted = {
            TopicPartition(topic, number): OffsetAndMetadata(commit.offset, commit.note.encode())
            for number, commit in commits.items()
        }
        self._consumer.assign(list(wanted))
        started_s = time.monotonic()
        while True:
            try:
                await self._consumer.commit(wanted)
                return
            except (*_HAS_MEMBERS, GroupLoadInProgressError) as error:
                if time.monotonic() - started_s > MEMBERS_GONE_S:
                    raise GroupError(
                        f"group {self._settings.group} still has members after "
                        f"{MEMBERS_GONE_S:g} s; stop every worker of it, and try again"
                    ) from error
            await asyncio.sleep(_AGAIN_S)


@asynccontextmanager
async def open_commits(settings: KafkaSettings) -> AsyncIterator[GroupCommits]:
    """The commits of the group; raises BrokerError for an error of Kafka's in this block."""

    def describe(error: Exception, advice: str) -> str:
        return (
            f"{settings.bootstrap}: cannot read or write the commits of group {settings.group} "
            f"({error!r}); {advice or IS_IT_RUNNING}, and try again"
        )

    async with broker_errors(settings, describe):
        consumer = LenientConsumer(
            **client_options(settings), group_id=settings.group, enable_auto_commit=False
        )
        try:
            await consumer.start()
            yield GroupCommits(consumer, settings)
        finally:
            await consumer.stop()
