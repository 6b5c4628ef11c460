"""The changelog's identity: whether states are of the changelog that is there now, or of another.

A topic that is deleted and made anew under the same name has another id. What the disk of a worker
holds is then the only copy of its states, and must not be wiped for being ahead of an empty topic.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stream.errors import TopicsError
from stream.kafka.commits import CommitNote, start_over
from stream.kafka.topic_checks import Finding
from stream.settings import KafkaSettings


class Disk(NamedTuple):
    """What a partition on disk says of its changelog: its id, and the offset that comes next.

    ``id`` is None if unknown; ``end`` is 0 for a partition that holds nothing.
    """

    id: str | None
    end: int


EMPTY = Disk(None, 0)


def orphans(
    changelog_id: str | None, notes: Mapping[int, CommitNote], disks: Mapping[int, Disk]
) -> list[int]:
    """The partitions whose states are of another changelog than the one with this id.

    ``notes`` are of the group's commits. A group that notes this changelog has gone on with it,
    and what a disk holds of another one is of no use to anybody.
    """
    if changelog_id is None:
        return []
    found = []
    for number in sorted({*notes, *disks}):
        note, disk = notes.get(number, CommitNote()), disks.get(number, EMPTY)
        if note.changelog_id == changelog_id:
            continue
        noted = note.changelog_id is not None and bool(note.changelog_end)
        held = disk.id not in (None, changelog_id) and disk.end > 0
        if noted or held:
            found.append(number)
    return found


def outdated(
    changelog_id: str | None, notes: Mapping[int, CommitNote], disks: Mapping[int, Disk]
) -> list[int]:
    """The partitions on disk that are of another changelog, while the group is at this one."""
    return [
        number
        for number, disk in sorted(disks.items())
        if changelog_id is not None
        and disk.id not in (None, changelog_id)
        and notes.get(number, CommitNote()).changelog_id == changelog_id
    ]


def refusal(settings: KafkaSettings, partitions: Iterable[int]) -> TopicsError:
    """The error for partitions whose states are of another changelog."""
    return TopicsError(f"{settings.changelog_topic}: {_found(partitions)}; {_restore(settings)}")


def assess_changelog(
    settings: KafkaSettings, changelog_id: str | None, notes: Mapping[int, CommitNote]
) -> Finding:
    """Whether the group's commits speak of the changelog that is there."""
    expected = "the changelog that has the states of all committed events"
    partitions = orphans(changelog_id, notes, {})
    if partitions:
        fix = _restore(settings)
        found = _found(partitions)
        return Finding("FAIL", settings.changelog_topic, "states", found, expected, fix)
    said = sum(note.changelog_id is not None for note in notes.values())
    found = f"of {said} partitions" if said else "nothing committed yet"
    return Finding("PASS", settings.changelog_topic, "states", found, expected)


def _found(partitions: Iterable[int]) -> str:
    numbers = ", ".join(map(str, partitions))
    return (
        f"the states of partition {numbers} are of another topic of this name, made anew since; "
        "only the disks of the workers hold them"
    )


def _restore(settings: KafkaSettings) -> str:
    return (
        f"stop every worker and run `lately state restore --group {settings.group}` with the "
        f"--state-dir of each; or, to lose the states, {start_over(settings)}"
    )
