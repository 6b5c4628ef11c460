"""The chunked fetch: hands over whole what is fetched of a topic, as the native core reads it."""

from typing import Any

from aiokafka.consumer import fetcher

from model import native
from stream.kafka.fetching.fetched_records import FetchedRecords
from stream.kafka.fetching.lenient_headers import LenientRecords, read_any_header

_topics: set[str] = set()  # of this process, which consumes the events topic once


class _Records(LenientRecords):
    """The records of a fetch, which the core reads unless aiokafka's parser must."""

    next_fetch_offset: int

    def read_whole(self) -> FetchedRecords | None:
        """All records, and where the next fetch starts; None if they are for the other parser."""
        if self._aborted_transactions:
            return None
        data, offset = bytes(self._records.data), self.next_fetch_offset
        try:
            chunk = native.core.Chunk(data, offset, self._check_crcs)
        except ValueError:
            return None
        self.next_fetch_offset = chunk.next_offset
        return FetchedRecords(chunk, 0, len(chunk))


class _Result(fetcher.FetchResult):  # type: ignore[misc]
    """A fetch of one partition."""

    _partition_records: _Records | None

    def getall(self, max_records: int | None = None) -> Any:
        """Its records, as aiokafka's own does."""
        tp = self._topic_partition
        if max_records is None and tp.topic in _topics:
            if not self.check_assignment(tp) or self._partition_records is None:
                return []
            fetched = self._partition_records.read_whole()
            if fetched is not None:
                self._update_position()
                self._partition_records = None
                return fetched
        return super().getall(max_records)


def read_in_chunks(topic: str) -> None:
    """Let every consumer of this process hand over this topic's records as `FetchedRecords`.

    Those that aiokafka's own parser must read come as its records: compressed ones, and those of a
    fetch with aborted transactions.
    """
    read_any_header()
    _topics.add(topic)
    fetcher.PartitionRecords = _Records
    fetcher.FetchResult = _Result
