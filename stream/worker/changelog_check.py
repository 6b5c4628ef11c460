"""The changelog check: whether the states are of the changelog that is there."""

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka.errors import KafkaError

from stream.errors import TopicsError
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.changelog import Disk, orphans, outdated, refusal
from stream.kafka.commits import CommitNote
from stream.kafka.fetching.log_reader import LogReader
from stream.settings import WorkerSettings

EVERY_S = 5.0
_log = structlog.get_logger(__name__)


class ChangelogCheck:
    """Compares the id of the changelog with what commits and disks say of it.

    Under a running worker, too: without its changelog the group gives it no partition, so that no
    write would ever tell.
    """

    def __init__(self, settings: WorkerSettings, reader: LogReader) -> None:
        self._settings = settings
        self._reader = reader
        self._id: str | None = None
        self._partitions: list[int] = []
        self._missing = False

    @property
    def id(self) -> str | None:
        """The id of the changelog as of the last assignment; None where brokers report none."""
        return self._id

    async def examine(
        self, committed: Mapping[int, OffsetMetadata | None], disks: Mapping[int, Disk]
    ) -> list[int]:
        """The partitions whose disk is to be wiped: the group has gone on without it.

        Raises TopicsError if the changelog lacks states that the disks hold, or held, and
        KafkaError.
        """
        if not committed:
            return []
        changelog = await self._reader.read(self._settings.changelog_topic)
        if changelog is None:
            raise self._deleted()
        notes = {
            number: CommitNote.decode(found.metadata)
            for number, found in committed.items()
            if found is not None
        }
        if partitions := orphans(changelog.id, notes, disks):
            raise refusal(self._settings, partitions)
        self._id, self._partitions = changelog.id, sorted(committed)
        return outdated(changelog.id, notes, disks)

    async def run(self) -> None:
        """Check until cancelled; raises TopicsError when the worker must end."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.check()
            except KafkaError as error:  # the monitor says when the broker is away
                _log.debug("the changelog cannot be examined", error=str(error))

    async def check(self) -> None:
        """Look once; raises TopicsError if it was made anew, or is gone for two looks."""
        if self._id is None:
            return
        changelog = await self._reader.read(self._settings.changelog_topic)
        was_missing, self._missing = self._missing, changelog is None
        if changelog is None and was_missing:  # else a broker may not know it for a moment
            raise self._deleted()
        if changelog is not None and changelog.id != self._id:
            raise refusal(self._settings, self._partitions)

    def _deleted(self) -> TopicsError:
        return TopicsError(
            f"{self._settings.changelog_topic} does not exist any more; start the worker again, "
            "which creates it and says how to restore it"
        )
