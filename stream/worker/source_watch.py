"""The source watch: whether offsets still mean what they meant, and which events are lost."""

import asyncio
from collections.abc import Iterable, Mapping

import structlog
from aiokafka.errors import KafkaError

from stream.errors import TopicsError
from stream.group.faust_consumer import FaustConsumer
from stream.group.offset_metadata import OffsetMetadata
from stream.health import Health
from stream.kafka.commits import Commit, CommitNote, Source, assess_source, lost_events, start_over
from stream.kafka.fetching.log_reader import LogReader
from stream.kafka.topics import ensure_topics
from stream.metrics import Metrics
from stream.pipeline.pipeline import Pipeline
from stream.settings import WorkerSettings

EVERY_S = 5.0
_log = structlog.get_logger(__name__)


class SourceWatch:
    """Compares the events topic with what the worker knows of it, now and then.

    A topic that was made anew, cut or given more partitions ends the worker: its offsets, or where
    its users are, mean something else now. Events that were deleted before they were read are
    counted and named, and the worker goes on.
    """

    def __init__(
        self, settings: WorkerSettings, reader: LogReader, health: Health, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._topic = settings.events_topic
        self._reader = reader
        self._health = health
        self._metrics = metrics
        self._known: Source | None = None  # as of the first assignment
        self._missing = False
        self._counted: dict[int, int] = {}  # the offsets below which losses are counted

    @property
    def events_id(self) -> str | None:
        """The id of the events topic as of the first assignment; None where brokers report none."""
        return None if self._known is None else self._known.id

    async def examine(
        self, committed: Mapping[int, OffsetMetadata | None], state_ids: Iterable[str] = ()
    ) -> dict[int, int]:
        """The offset of the next event of each partition, which may be committed.

        ``state_ids`` are the ids of the topics that the states on disk are of. Raises TopicsError
        if states or commits do not mean this topic, and KafkaError.
        """
        if not committed:
            return {}
        source = await self._reader.read(self._topic)
        if source is None:
            raise TopicsError(f"{self._topic} does not exist any more; create it again")
        if source.id is not None and set(state_ids) - {source.id}:
            raise TopicsError(
                f"{self._topic}: the states on disk hold offsets of another topic of this name, "
                f"made anew since; {start_over(self._settings)}"
            )
        commits = {
            number: Commit(found.offset, CommitNote.decode(found.metadata))
            for number, found in committed.items()
            if found is not None
        }
        offsets = {number: commit.offset for number, commit in commits.items()}
        beyond = await self._reader.beyond(self._topic, source, offsets)
        finding = assess_source(self._settings, source, commits, beyond)
        if finding.status == "FAIL":
            raise TopicsError(str(finding))
        if self._known is None:
            self._known = source
        await self._check(self._known, source, {})
        counted = {number: max(at, self._counted.get(number, 0)) for number, at in offsets.items()}
        self._count_lost(lost_events(source, counted))
        self._counted.update(source.starts)
        return {
            number: max(offsets.get(number, 0), source.starts.get(number, 0))
            for number in committed
        }

    async def check_states(self, newest: Mapping[int, int]) -> None:
        """Raise TopicsError if states hold events of another topic than this one.

        ``newest`` is the highest offset in the states of each partition.
        """
        if self._known is None or not newest:
            return
        after = {number: offset + 1 for number, offset in newest.items()}
        beyond = await self._reader.beyond(self._topic, self._known, after)
        for number in sorted(beyond):
            raise TopicsError(
                f"{self._topic}: states of partition {number} hold an event of offset "
                f"{newest[number]}, and the partition ends before it: the topic was made anew or "
                f"cut; {start_over(self._settings)}"
            )

    def count_skipped(self, offsets: Mapping[int, int], newest: Mapping[int, int]) -> None:
        """Count what lies between the newest events in states and offsets that a tool has set.

        At most so many were not read: some may have been dead letters, which leave no state.
        """
        skipped = {
            number: offsets[number] - offset - 1
            for number, offset in newest.items()
            if offsets[number] > offset + 1
        }
        if skipped:
            self._metrics.events_lost.inc(sum(skipped.values()))
            _log.error(
                "a tool has set the group's offsets past events that no state holds: stop the "
                "workers and set them back, before newer events of these users come",
                topic=self._topic,
                events_by_partition=dict(sorted(skipped.items())),
            )

    async def run(self, pipeline: Pipeline, consumer: FaustConsumer) -> None:
        """Watch until cancelled; raises TopicsError when the worker must end."""
        while True:
            await asyncio.sleep(EVERY_S)
            try:
                await self.check(pipeline, consumer)
            except KafkaError as error:  # the monitor says when the broker is away
                _log.debug("the events topic cannot be examined", error=str(error))

    async def check(self, pipeline: Pipeline, consumer: FaustConsumer) -> None:
        """Look once; raises TopicsError when the worker must end, and KafkaError."""
        gaps = pipeline.take_gaps()
        source = await self._reader.read(self._topic)
        if source is None:
            self._health.set_failed("partitions", f"{self._topic} does not exist")
            self._missing = True
            return
        if self._missing and pipeline.partitions:  # a broker did not know it for a moment
            self._health.set_ok("partitions")
        self._missing = False
        if not pipeline.partitions and consumer.holds_other_partitions():
            await consumer.rejoin()  # the topic was missing when the group shared it out
        if self._known is not None:
            await self._check(self._known, source, pipeline.positions())
        self._count_lost({p: _deleted(g, source.starts.get(p, 0)) for p, g in gaps.items()})

    async def _check(self, known: Source, source: Source, positions: Mapping[int, int]) -> None:
        """Raise TopicsError when the topic is another one, or has other partitions, than known."""
        beyond = await self._reader.beyond(self._topic, source, positions)
        if source.id != known.id or beyond:
            what = "cut" if source.id == known.id is not None else "made anew"
            raise TopicsError(
                f"{self._topic} was {what} under this worker; {start_over(self._settings)}"
            )
        if source.starts.keys() != known.starts.keys():
            await ensure_topics(self._settings)  # names the topic to mend
            raise TopicsError(
                f"{self._topic} has {len(source.starts)} partitions now and had "
                f"{len(known.starts)}; start the worker again"
            )

    def _count_lost(self, lost: Mapping[int, int]) -> None:
        by_partition = {partition: events for partition, events in lost.items() if events}
        if by_partition:
            self._metrics.events_lost.inc(sum(by_partition.values()))
            _log.error(
                "events were deleted before they were read: raise the retention of the events "
                "topic, or add workers",
                topic=self._topic,
                events_by_partition=dict(sorted(by_partition.items())),
            )


def _deleted(gaps: list[tuple[int, int]], start: int) -> int:
    """How many records of these gaps the log has deleted; the rest are control records."""
    return sum(max(0, min(end, start) - begin) for begin, end in gaps)
