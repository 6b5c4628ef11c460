"""Commits: what a group notes beside its offsets, and whether what it says still holds."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from aiokafka import TopicPartition
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from stream.kafka.producer import Headers
from stream.kafka.topic_checks import Finding
from stream.settings import KafkaSettings

_HEADER = "lately.group"
_PROTOCOL = "faust"  # by which the members of our groups share out partitions
_UNKNOWN_CLAIM_MS = 1 << 62  # later than any
_SINCE_ALWAYS_MS = 0  # of a group that wrote its notes before they had a time


def group_headers(group: str) -> Headers:
    """The headers of a score, which say whose it is."""
    return [(_HEADER, group.encode())]


def group_of(headers: Iterable[tuple[str, bytes | None]]) -> str | None:
    """The group that wrote a score; None for a record that does not say."""
    name = dict(headers).get(_HEADER)
    return None if name is None else name.decode(errors="replace")


class CommitNote(NamedTuple):
    """What a group writes as the metadata of a commit; None for what it does not say.

    ``since_ms`` is when it first claimed the scores topic, and the earliest claim counts.
    ``events_id`` is the id of the events topic that the offset belongs to. ``changelog_end`` is the
    offset behind the states of all events before the commit, in the changelog of ``changelog_id``.
    """

    scores_end: int | None = None  # the end of our own scores, which the next assignment reads from
    scores_topic: str | None = None
    since_ms: int | None = None
    events_id: str | None = None
    changelog_id: str | None = None
    changelog_end: int | None = None

    def encode(self) -> str:
        """As Kafka stores it."""
        said = self._asdict().items()
        return ",".join(f"{name}={value}" for name, value in said if value is not None)

    @classmethod
    def decode(cls, text: str | None) -> Self:
        """From what Kafka stores; a note of another tool says nothing."""
        said = dict(part.split("=", 1) for part in (text or "").split(",") if "=" in part)
        return cls(
            _natural(said.get("scores_end")),
            said.get("scores_topic"),
            _natural(said.get("since_ms")),
            said.get("events_id"),
            said.get("changelog_id"),
            _natural(said.get("changelog_end")),
        )


class Commit(NamedTuple):
    """What a group has committed of one partition."""

    offset: int
    note: CommitNote


class Source(NamedTuple):
    """Where the log of each partition of the events topic starts and ends.

    ``id`` is new when a topic is deleted and made anew; None where the broker reports none.
    """

    id: str | None
    starts: Mapping[int, int]
    ends: Mapping[int, int]


def claimed_since_ms(
    commits: Mapping[TopicPartition, OffsetAndMetadata], events_topic: str, scores_topic: str
) -> int | None:
    """Since when the group of these commits claims a scores topic; None if it does not.

    A note that names the topic claims it, whichever events the group reads; one that does not say
    claims it for a group that reads ``events_topic``.
    """
    notes = [
        (tp.topic, CommitNote.decode(found.metadata))
        for tp, found in commits.items()
        if found.offset >= 0
    ]
    since_ms = [
        _SINCE_ALWAYS_MS if note.since_ms is None else note.since_ms
        for topic, note in notes
        if note.scores_topic == scores_topic
        or (note.scores_topic is None and topic == events_topic)
    ]
    return min(since_ms, default=None)


async def fetch_claim(admin: Any, settings: KafkaSettings, group: str) -> int | None:
    """Since when a group claims the scores topic; the last of all where that is not for us to see.

    Then our own claim counts if we have one, and without one the topic is taken.
    """
    commits = await fetch_commits(admin, group)
    if commits is None:
        return None if group == settings.group else _UNKNOWN_CLAIM_MS
    return claimed_since_ms(commits, settings.events_topic, settings.scores_topic)


async def fetch_commits(admin: Any, group: str) -> dict[TopicPartition, OffsetAndMetadata] | None:
    """What a group has committed; None if the broker does not say."""
    try:
        found: dict[TopicPartition, OffsetAndMetadata]
        found = await admin.list_consumer_group_offsets(group)
    except GroupCoordinatorNotAvailableError:  # no group has ever joined this broker
        return {}
    except KafkaError:
        return None
    return found


async def check_members(admin: Any, settings: KafkaSettings) -> Finding:
    """Whether only workers of Lately are in the group; others would keep us out of it."""
    group, expected = f"group {settings.group}", "workers of Lately alone"
    try:
        answers = await admin.describe_consumer_groups([settings.group])
    except KafkaError as error:
        return Finding(
            "SKIP", group, "members", f"not described ({type(error).__name__})", expected
        )
    described = [found for answer in answers for found in answer.groups]
    protocol, members = (described[0][4], described[0][5]) if described else ("", ())
    if members and protocol not in ("", _PROTOCOL):  # empty while the group rebalances
        found = f"{len(members)} that share out partitions by {protocol}"
        fix = "set another --group, or stop those consumers"
        return Finding("FAIL", group, "members", found, expected, fix)
    return Finding("PASS", group, "members", f"{len(members)}", expected)


def assess_owner(
    settings: KafkaSettings,
    writers: Mapping[str, Iterable[int]],
    claims: Mapping[str, int | None],
) -> Finding:
    """Whether the scores topic is ours to write to.

    ``writers`` has the partitions whose last scores are of a group, ``claims`` since when it claims
    the topic, for our own group too; None for a group that has no commits any more. The earliest
    claim wins, so of two groups the same one loses, whoever asks.
    """
    topic, group = settings.scores_topic, settings.group
    ours_ms = claims.get(group)
    others = {name: ms for name, ms in claims.items() if name != group and ms is not None}
    earlier = {
        name: ms for name, ms in others.items() if ours_ms is None or (ms, name) < (ours_ms, group)
    }
    expected = f"group {group} alone"
    if earlier:
        owner = min(earlier, key=lambda name: (earlier[name], name))
        found = f"group {owner}, which wrote {_where(writers.get(owner, ()))}"
        fix = (
            "give this group a topic of its own (--scores-topic); or, if that group is never to "
            f"run again, delete it: `kafka-consumer-groups.sh --bootstrap-server "
            f"{settings.bootstrap} --delete --group {owner}`"
        )
        return Finding("FAIL", topic, "owner", found, expected, fix)
    if others:
        later = ", ".join(sorted(others))
        fix = f"stop {later}, or give it a topic of its own (--scores-topic)"
        return Finding("WARN", topic, "owner", f"group {group}, and {later}", expected, fix)
    gone = ", ".join(sorted(name for name in writers if name != group))
    found = f"group {group}" if group in writers or ours_ms is not None else "nobody"
    if gone:
        found += f", after {gone}, which has no commits any more"
    return Finding("PASS", topic, "owner", found, expected)


def lost_events(source: Source, offsets: Mapping[int, int]) -> dict[int, int]:
    """How many records of each partition were deleted between these offsets and the log's start."""
    starts = source.starts
    return {p: starts[p] - at for p, at in offsets.items() if p in starts and starts[p] > at}


def assess_source(
    settings: KafkaSettings,
    source: Source,
    commits: Mapping[int, Commit],
    beyond: Iterable[int],
) -> Finding:
    """Whether the group's commits still mean what they meant when they were made.

    ``beyond`` are the partitions whose log ends before the commit.
    """
    topic = settings.events_topic
    expected = "the topic in which they were made, no event deleted before it was read"
    ids = {commit.note.events_id for commit in commits.values()} - {None}
    if source.id is not None and ids - {source.id}:
        found = f"commits of group {settings.group} in another topic of this name, made anew since"
        return Finding("FAIL", topic, "offsets", found, expected, start_over(settings))
    for number in sorted(beyond):
        found = (
            f"{commits[number].offset} committed of partition {number}, which ends at "
            f"{source.ends.get(number, 0)}: the topic was made anew or cut"
        )
        return Finding("FAIL", topic, "offsets", found, expected, start_over(settings))
    lost = lost_events(source, {number: commit.offset for number, commit in commits.items()})
    if lost:
        fix = (
            "raise its retention.ms or retention.bytes, or add workers, so that none are next time"
        )
        return Finding("WARN", topic, "offsets", _deleted(lost), expected, fix)
    found = f"committed in {len(commits)} partitions" if commits else "nothing committed yet"
    return Finding("PASS", topic, "offsets", found, expected)


def start_over(settings: KafkaSettings) -> str:
    """What to do when offsets in commits and states mean nothing any more."""
    return (
        f"stop every worker, run `kafka-consumer-groups.sh --bootstrap-server {settings.bootstrap} "
        f"--delete --group {settings.group}`, and start with another --group; its state begins "
        "empty"
    )


def _deleted(lost: Mapping[int, int]) -> str:
    each = ", ".join(f"{count:,} of partition {p}" for p, count in sorted(lost.items()))
    return f"events deleted before they were read: {each}"


def _where(partitions: Iterable[int]) -> str:
    numbers = sorted(partitions)
    if not numbers:
        return "there"
    return f"the last score of partition {', '.join(map(str, numbers))}"


def _natural(text: Any) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
