"""Whether states are of the changelog that is there now, or of one that was deleted."""

import pytest

from stream.kafka.changelog import Disk, assess_changelog, orphans, outdated, refusal
from stream.kafka.commits import CommitNote
from stream.settings import KafkaSettings

SETTINGS = KafkaSettings(bootstrap="kafka:9092", group="ours")


def note(changelog_id: str | None, end: int | None = 9) -> CommitNote:
    return CommitNote(changelog_id=changelog_id, changelog_end=end)


@pytest.mark.parametrize(
    ("now", "noted", "disk", "orphan", "old"),
    [
        ("b", note("b"), Disk("b", 9), False, False),
        ("b", note("a"), Disk("a", 9), True, False),
        ("b", note("a"), Disk(None, 0), True, False),  # the disk is another worker's
        ("b", note("a", 0), Disk("a", 0), False, False),  # there was nobody to lose
        ("b", CommitNote(), Disk("a", 9), True, False),  # the commits are gone, too
        ("b", CommitNote(), Disk(None, 9), False, False),  # of an earlier version
        ("b", note("b"), Disk("a", 9), False, True),  # the group has gone on
        (None, note("a"), Disk("a", 9), False, False),  # a broker that reports no ids
    ],
)
def test_states_of_another_changelog_are_told_by_its_id(
    now: str | None, noted: CommitNote, disk: Disk, orphan: bool, old: bool
) -> None:
    assert orphans(now, {3: noted}, {3: disk}) == ([3] if orphan else [])
    assert outdated(now, {3: noted}, {3: disk}) == ([3] if old else [])


def test_the_refusal_names_the_partitions_and_the_command_that_restores_them() -> None:
    line = str(refusal(SETTINGS, [0, 2]))

    assert "ours-state-changelog: the states of partition 0, 2 are of another topic" in line
    assert "`lately state restore --group ours`" in line
    assert "\n" not in line


def test_commits_that_name_another_changelog_fail_the_check() -> None:
    assert assess_changelog(SETTINGS, "b", {0: note("b"), 1: note("b")}).status == "PASS"
    found = assess_changelog(SETTINGS, "b", {0: note("b"), 1: note("a")})

    assert (found.status, found.topic) == ("FAIL", "ours-state-changelog")
    assert "partition 1 are of another topic" in found.found
    assert "lately state restore" in found.fix
