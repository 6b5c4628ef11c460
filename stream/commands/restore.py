"""The command `lately state restore`: writes states into a changelog that was made anew."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from stream.commands.state import check_partitions, locked, partitions_on_disk, path_of
from stream.errors import StateError, TopicsError
from stream.kafka.changelog import Disk
from stream.kafka.command_clients import TopicReader, open_producer, open_reader
from stream.kafka.commits import Commit, CommitNote
from stream.kafka.fetching.log_reader import LogReader
from stream.kafka.group_commits import GroupCommits, open_commits
from stream.kafka.producer import NO_HEADERS, Publisher, Record, await_acks
from stream.kafka.topic_checks import MIN_BATCH_BYTES
from stream.settings import StateSettings
from stream.storage.recovery import newest
from stream.storage.store import StateStore
from stream.storage.view import view
from stream.user_state import applied_offset_of

_BATCH_BYTES = MIN_BATCH_BYTES * 31 // 32  # every changelog that a worker accepts takes it
_AT_ONCE = 1000  # users written before the next are read
Verdict = Literal["restored", "there", "empty", "outdated", "unknown"]
_WORDS: dict[Verdict, str] = {
    "there": "is in this changelog already",
    "empty": "holds nothing",
    "outdated": "is older than the group's commit: another worker had this partition last, "
    "restore it from the --state-dir of that one",
    "unknown": "cannot be restored: no commit of this group says how far its state must go",
}


class Row(NamedTuple):
    """What became of a partition on disk."""

    partition: int
    verdict: Verdict
    users: int = 0  # written to the changelog

    def line(self) -> str:
        """For people."""
        if self.verdict == "restored":
            return f"partition {self.partition}: {self.users:,} users restored"
        return f"partition {self.partition}: {_WORDS[self.verdict]}"


def restore_state(settings: StateSettings, *, as_json: bool = False) -> int:
    """Write the states on disk into the changelog; 1 if a partition cannot be restored, else 0.

    No worker of the group may run. Raises StateError, TopicsError, GroupError, BrokerError.
    """
    folder = settings.state_dir / settings.group
    store = StateStore(folder, lambda _cause: None)
    with locked(folder, store):
        numbers = partitions_on_disk(folder)
        if not numbers:
            raise StateError(f"{folder}: holds no state; name the --state-dir of a worker")
        rows = asyncio.run(_restore(settings, folder, store, numbers))
    failed = any(row.verdict in ("outdated", "unknown") for row in rows)
    if as_json:
        print(json.dumps({"restored": not failed, "partitions": [row._asdict() for row in rows]}))
    else:
        print("\n".join(row.line() for row in rows))
    return 1 if failed else 0


async def _restore(
    settings: StateSettings, folder: Path, store: StateStore, numbers: Sequence[int]
) -> list[Row]:
    topic = settings.changelog_topic
    async with (
        LogReader(settings) as log,
        open_reader(settings, topic, "--group") as reader,
        open_commits(settings) as group,
        open_producer(settings, _BATCH_BYTES) as producer,
    ):
        check_partitions(settings, reader, numbers)
        changelog = await log.read(topic)
        if changelog is None or changelog.id is None:
            raise TopicsError(
                f"{topic}: the broker reports no id of it, by which a topic made anew is known"
            )
        commits = await group.read(numbers)
        publisher = Publisher(producer)
        restore = Restore(settings, folder, store, reader, publisher, group, changelog.id)
        return [await restore.one(number, commits.get(number)) for number in numbers]


def judge(disk: Disk, note: CommitNote, changelog_id: str) -> Verdict:
    """Whether a partition on disk is to be restored: by the note of the group's commit.

    The disk must hold all that the commit covers, or events and erasures would be missing.
    """
    if changelog_id in (disk.id, note.changelog_id):
        return "there"
    if disk.end == 0 and not note.changelog_end:
        return "empty"
    if note.changelog_id is None or note.changelog_end is None:
        return "unknown"
    if disk.id != note.changelog_id or disk.end < note.changelog_end:
        return "outdated"
    return "restored"


class Restore:
    """Restores one partition after the other; one that was broken off is restored again."""

    def __init__(
        self,
        settings: StateSettings,
        folder: Path,
        store: StateStore,
        reader: TopicReader,
        publisher: Publisher,
        group: GroupCommits,
        changelog_id: str,
    ) -> None:
        self._topic = settings.changelog_topic
        self._folder = folder
        self._store = store
        self._reader = reader
        self._publisher = publisher
        self._group = group
        self._id = changelog_id

    async def one(self, number: int, commit: Commit | None) -> Row:
        """Restore a partition if it is to be.

        1. See that the group has no members, by a commit that changes nothing.
        2. Take over what a worker wrote to the new changelog before it noticed.
        3. Write all else that the disk holds, and wait for the broker to have it.
        4. Commit that the group's states are in this changelog, then note it on disk.

        Broken off before 4, it begins again; after the commit alone, the next worker rebuilds.
        """
        with view(path_of(self._folder, number)):
            pass  # raises StateError for a damaged one, which the store would wipe
        self._store.open(number)
        disk = self._store.disk(number)
        verdict = judge(disk, CommitNote() if commit is None else commit.note, self._id)
        if verdict != "restored" or commit is None:
            return Row(number, verdict)
        await self._group.write({number: commit})
        there = await self._take_over(number, disk)
        users, last = await self._publish(number, there)
        last = max(last, self._reader.end(number) - 1)
        note = commit.note._replace(changelog_id=self._id, changelog_end=last + 1)
        await self._group.write({number: commit._replace(note=note)})
        self._store.note_changelog(number, self._id, last)
        return Row(number, verdict, users)

    async def _take_over(self, number: int, disk: Disk) -> set[bytes]:
        """Write what the changelog has onto the disk where it is newer; the users it has right."""
        applied: dict[bytes, int] = {}
        there: set[bytes] = set()
        async for records in self._reader.read_to_end(number):
            keys = list({record.key for record in records} - applied.keys())
            known = zip(keys, self._store.get_many(number, keys), strict=True)
            applied |= {key: applied_offset_of(v) for key, v in known if v is not None}
            changes, stale = newest(applied, records)
            self._store.write(number, changes.items(), disk.end - 1)
            there = (there - stale) | (changes.keys() - stale)
        return there

    async def _publish(self, number: int, there: set[bytes]) -> tuple[int, int]:
        """Write the users that the changelog lacks; how many, and the offset of the last one."""
        records: list[Record] = []
        users, last = 0, -1
        for key, value in self._store.users(number):
            if key not in there:
                records.append((key, value, NO_HEADERS))
            if len(records) == _AT_ONCE:
                last, users, records = await self._send(number, records), users + _AT_ONCE, []
        if records:
            last, users = await self._send(number, records), users + len(records)
        return users, last

    async def _send(self, number: int, records: Sequence[Record]) -> int:
        return await await_acks(
            self._topic, await self._publisher.send(self._topic, number, records)
        )
