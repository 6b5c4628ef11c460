"""Whose the scores topic is, and whether commits still mean what they meant."""

import pytest
from aiokafka import TopicPartition
from aiokafka.structs import OffsetAndMetadata

from stream.kafka.commits import (
    Commit,
    CommitNote,
    Source,
    assess_owner,
    assess_source,
    claimed_since_ms,
    group_headers,
    group_of,
    lost_events,
)
from stream.settings import KafkaSettings

SETTINGS = KafkaSettings(bootstrap="kafka:9092", group="ours")
SOURCE = Source("topic-1", starts={0: 10, 1: 0}, ends={0: 90, 1: 50})


def test_the_headers_of_a_score_name_its_group() -> None:
    assert group_of(group_headers("ours")) == "ours"
    assert group_of([("other", b"header")]) is None


@pytest.mark.parametrize(
    "note",
    [
        CommitNote(),
        CommitNote(scores_end=0),
        CommitNote(7, "lately.scores", 1_790_000_000_000, "MBSPEL38Riyi770haxrTUA"),
    ],
)
def test_a_note_is_read_as_it_was_written(note: CommitNote) -> None:
    assert CommitNote.decode(note.encode()) == note


@pytest.mark.parametrize("text", ["", None, "of another tool", "scores_end=", "scores_end=-1"])
def test_a_note_of_another_tool_says_nothing(text: str | None) -> None:
    assert CommitNote.decode(text) == CommitNote()


def test_a_note_of_an_earlier_version_says_where_our_scores_end() -> None:
    assert CommitNote.decode("scores_end=12") == CommitNote(12)


def commits(*notes: str, topic: str = "events") -> dict[TopicPartition, OffsetAndMetadata]:
    return {
        TopicPartition(topic, number): OffsetAndMetadata(5, note)
        for number, note in enumerate(notes)
    }


@pytest.mark.parametrize(
    ("notes", "since_ms"),
    [
        ([], None),
        (["scores_topic=scores,since_ms=9", "scores_topic=scores,since_ms=7"], 7),
        (["scores_topic=elsewhere,since_ms=7"], None),  # the group has moved
        (["scores_topic=elsewhere,since_ms=7", "scores_topic=scores,since_ms=9"], 9),
        (["scores_end=3"], 0),  # before notes had times
    ],
)
def test_a_group_claims_a_topic_since_its_oldest_note_that_names_it(
    notes: list[str], since_ms: int | None
) -> None:
    assert claimed_since_ms(commits(*notes), "events", "scores") == since_ms


@pytest.mark.parametrize(
    ("note", "since_ms"),
    [
        ("scores_topic=scores,since_ms=7", 7),  # such as of a test that forgot --scores-topic
        ("scores_topic=scores", 0),
        ("scores_topic=elsewhere,since_ms=7", None),
        ("scores_end=3", None),  # does not say where it writes
        ("", None),
    ],
)
def test_commits_of_another_events_topic_claim_the_scores_topic_that_they_name(
    note: str, since_ms: int | None
) -> None:
    assert claimed_since_ms(commits(note, topic="others"), "events", "scores") == since_ms


def test_what_is_committed_of_nothing_claims_nothing() -> None:
    """As Kafka answers for a partition without a commit."""
    none = {TopicPartition("events", 0): OffsetAndMetadata(-1, "scores_topic=scores,since_ms=7")}

    assert claimed_since_ms(none, "events", "scores") is None


@pytest.mark.parametrize(
    ("value", "group"),
    [(None, None), (b"", ""), (b"caf\xc3\xa9", "caf\u00e9"), (b"\xff", "\ufffd")],
)
def test_whatever_stands_in_the_header_of_a_score_is_a_group_or_none(
    value: bytes | None, group: str | None
) -> None:
    assert group_of([("lately.group", value)]) == group


@pytest.mark.parametrize(
    ("claims", "status", "found"),
    [
        ({"ours": None}, "PASS", "nobody"),
        ({"ours": 5}, "PASS", "group ours"),
        ({"ours": None, "theirs": None}, "PASS", "nobody, after theirs, which has no commits"),
        ({"ours": None, "theirs": 9}, "FAIL", "group theirs, which wrote the last score of"),
        ({"ours": 5, "theirs": 4}, "FAIL", "group theirs, which wrote the last score of"),
        ({"ours": 4, "theirs": 5}, "WARN", "group ours, and theirs"),
        ({"ours": 4, "theirs": 5, "third": 3}, "FAIL", "group third, which wrote"),
        ({"ours": None, "theirs": 5, "third": 3}, "FAIL", "group third, which wrote"),
        ({"ours": 3, "theirs": 5, "third": 4}, "WARN", "group ours, and theirs, third"),
        ({"ours": 3, "theirs": None, "third": 4}, "WARN", "group ours, and third"),
        # Of two that began at once the same one loses, whoever asks.
        ({"ours": 4, "theirs": 4}, "WARN", "group ours, and theirs"),
        ({"ours": 4, "another": 4}, "FAIL", "group another, which wrote"),
    ],
)
def test_the_earliest_claim_wins(claims: dict[str, int | None], status: str, found: str) -> None:
    writers = {name: [2, 0] for name in claims if name != "ours"}
    finding = assess_owner(SETTINGS, writers, claims)

    assert finding.status == status
    assert finding.found.startswith(found)


def test_who_is_refused_is_told_how_to_have_a_topic() -> None:
    finding = assess_owner(SETTINGS, {"theirs": [2, 0]}, {"ours": None, "theirs": 9})

    assert finding.found == "group theirs, which wrote the last score of partition 0, 2"
    assert "--scores-topic" in finding.fix
    assert "`kafka-consumer-groups.sh --bootstrap-server kafka:9092 --delete --group theirs`" in (
        finding.fix
    )


def test_commits_within_the_log_of_the_same_topic_pass() -> None:
    same = {0: Commit(10, CommitNote(events_id="topic-1")), 1: Commit(50, CommitNote())}

    assert assess_source(SETTINGS, SOURCE, same, set()).status == "PASS"
    assert assess_source(SETTINGS, SOURCE, {}, set()).found == "nothing committed yet"


def test_commits_of_a_topic_that_was_made_anew_are_refused_with_the_command_that_helps() -> None:
    # Its log is longer than the commit by now, so only the id tells.
    finding = assess_source(SETTINGS, SOURCE, {0: Commit(20, CommitNote(events_id="0"))}, set())

    assert (finding.status, finding.check) == ("FAIL", "offsets")
    assert "in another topic of this name, made anew since" in finding.found
    assert "--delete --group ours`, and start with another --group" in finding.fix


def test_a_commit_beyond_the_end_of_the_log_is_refused_by_name() -> None:
    finding = assess_source(SETTINGS, SOURCE, {1: Commit(51, CommitNote())}, {1})

    assert finding.status == "FAIL"
    assert finding.found.startswith("51 committed of partition 1, which ends at 50")


def test_without_ids_only_the_ends_count() -> None:
    unknown = SOURCE._replace(id=None)
    commit = {0: Commit(20, CommitNote(events_id="topic-0"))}

    assert assess_source(SETTINGS, unknown, commit, set()).status == "PASS"


def test_events_deleted_before_they_were_read_are_counted_by_partition() -> None:
    finding = assess_source(SETTINGS, SOURCE, {0: Commit(3, CommitNote())}, set())

    # Offsets 3 to 9 are gone: the log starts at 10.
    assert lost_events(SOURCE, {0: 3, 1: 0}) == {0: 7}
    assert finding.status == "WARN"
    assert finding.found == "events deleted before they were read: 7 of partition 0"
