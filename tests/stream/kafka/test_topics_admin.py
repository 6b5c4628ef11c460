"""Topic creation and checks against a fake admin client that reports configurations."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
)
from aiokafka.structs import OffsetAndMetadata

from stream.errors import BrokerError, TopicsError
from stream.kafka import topics as module
from stream.kafka.commits import Source
from stream.kafka.topics import check_topics, create_topics, ensure_owner, ensure_topics
from stream.settings import KafkaSettings, TopicsSettings, WorkerSettings

EVENTS, SCORES, DEAD = "lately.events", "lately.scores", "lately.events.dead"
RECEIPTS, CHANGELOG = "lately.receipts", "lately-state-changelog"
KAFKAS_LIMIT = {"max.message.bytes": "1048588"}
DAY_MS = 24 * 3_600_000


class FakeTopic(NamedTuple):
    """A topic on the broker."""

    partitions: int
    replication: int
    config: Mapping[str, str]


class Broker:
    """A fake broker; ``refusals`` are the topics that it rejects, with code and message."""

    def __init__(
        self,
        topics: Mapping[str, FakeTopic] | None = None,
        brokers: int = 1,
        refusals: Mapping[str, tuple[int, str | None]] | None = None,
        error: KafkaError | None = None,
        group_error: KafkaError | None = None,
        late: Sequence[str] = (),
        source: Source | None = None,
        commits: Mapping[str, Mapping[int, tuple[int, str]]] | None = None,
        writers: Mapping[str, list[int]] | None = None,
        members: tuple[str, int] = ("faust", 2),
    ) -> None:
        self.topics = dict(topics or {})
        self.brokers, self.refusals = brokers, refusals or {}
        self.error, self.group_error = error, group_error
        self.late = set(late)  # topics that only the second description shows
        self.source = source or Source("topic-1", {0: 0, 1: 0}, {0: 9, 1: 9})
        self.changelog: Source | None = None
        self.commits = commits or {}  # of the events topic, by group: offset and note
        self.writers = writers or {}  # of the last scores
        self.members = members  # of our group: their protocol, and how many
        self.open_clients = 0


class Reader:
    """The log reader, on a broker that reports true ends."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def __aenter__(self) -> "Reader":
        self._broker.open_clients += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self._broker.open_clients -= 1

    async def read(self, topic: str) -> Source | None:
        if topic == CHANGELOG:
            return self._broker.changelog
        assert topic == EVENTS
        return self._broker.source

    async def beyond(self, topic: str, source: Source, offsets: Mapping[int, int]) -> set[int]:
        return {number for number, offset in offsets.items() if offset > source.ends[number]}

    async def last_groups(self, topic: str) -> Mapping[str, list[int]]:
        assert topic == SCORES
        return self._broker.writers


class Admin:
    """The part of aiokafka's admin client that we use."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._broker.open_clients += 1

    async def start(self) -> None:
        """Nothing to start."""

    async def close(self) -> None:
        self._broker.open_clients -= 1

    async def describe_topics(self) -> list[dict[str, Any]]:
        await asyncio.sleep(0)
        if self._broker.error:
            raise self._broker.error
        late, self._broker.late = self._broker.late, set()
        return [
            {
                "topic": name,
                "partitions": [{"replicas": [*range(topic.replication)]}] * topic.partitions,
            }
            for name, topic in self._broker.topics.items()
            if name not in late
        ]

    async def describe_configs(self, resources: Sequence[Any]) -> list[Any]:
        return [
            SimpleNamespace(
                resources=[
                    (0, None, 2, r.name, [*self._broker.topics[r.name].config.items()])
                    for r in resources
                ]
            )
        ]

    async def describe_cluster(self) -> dict[str, Any]:
        return {"brokers": [None] * self._broker.brokers}

    async def create_topics(self, wanted: Sequence[Any]) -> Any:
        errors = []
        for topic in wanted:
            code, why = self._broker.refusals.get(topic.name, (0, None))
            if code in (0, TopicAlreadyExistsError.errno):
                config = {"cleanup.policy": "delete", **KAFKAS_LIMIT, **topic.topic_configs}
                self._broker.topics[topic.name] = FakeTopic(
                    topic.num_partitions, topic.replication_factor, config
                )
            errors.append((topic.name, code, why))
        return SimpleNamespace(topic_errors=errors)

    async def describe_consumer_groups(self, groups: Sequence[str]) -> list[Any]:
        protocol, members = self._broker.members
        described = (0, groups[0], "Stable", "consumer", protocol, [None] * members)
        return [SimpleNamespace(groups=[described])]

    async def list_consumer_group_offsets(self, group: str) -> dict[Any, Any]:
        if self._broker.group_error:
            raise self._broker.group_error
        return {
            TopicPartition(EVENTS, number): OffsetAndMetadata(offset, note)
            for number, (offset, note) in self._broker.commits.get(group, {}).items()
        }


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    monkeypatch.setattr(module, "PROPAGATION_S", 0.0)
    return KafkaSettings(bootstrap="127.0.0.1:1")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs a coroutine against a broker, and checks that its client closes."""

    def run(broker: Broker, work: Any) -> Any:
        monkeypatch.setattr(module, "AIOKafkaAdminClient", lambda **options: Admin(broker))
        monkeypatch.setattr(module, "LogReader", lambda settings: Reader(broker))
        try:
            return asyncio.run(work)
        finally:
            assert broker.open_clients == 0

    return run


def our_topics(**changes: FakeTopic) -> dict[str, FakeTopic]:
    """Our topics as we create them, with two partitions; ``changes`` replaces some of them."""
    compact = {"cleanup.policy": "compact", **KAFKAS_LIMIT}
    keep = {"cleanup.policy": "delete", **KAFKAS_LIMIT}
    roomy = keep | {"max.message.bytes": str(1_048_588 + 8_192)}
    return {
        EVENTS: changes.get("events", FakeTopic(2, 1, keep)),
        SCORES: changes.get("scores", FakeTopic(2, 1, compact)),
        DEAD: changes.get("dead", FakeTopic(2, 1, roomy)),
        RECEIPTS: changes.get("receipts", FakeTopic(2, 1, keep)),
        CHANGELOG: changes.get("changelog", FakeTopic(2, 1, compact)),
    }


# --- create --------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [50, 756, 757, 1_000])
def test_a_changelog_that_we_create_has_room_for_sequences_of_any_length(
    settings: KafkaSettings, at: Any, length: int
) -> None:
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    longer = TopicsSettings(**given, sequence_length=length)
    broker = Broker()
    at(broker, create_topics(longer, partitions=2))
    needed = length * 1_040 + min(length, 255) * 1_028

    assert int(broker.topics[CHANGELOG].config["max.message.bytes"]) >= needed
    failed = [finding for finding in at(broker, check_topics(longer)) if finding.status == "FAIL"]
    assert failed == []


def test_the_topics_command_says_what_a_worker_would_of_a_changelog_that_is_too_small(
    settings: KafkaSettings, at: Any
) -> None:
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    broker = Broker(our_topics())
    worker = WorkerSettings(**given, artifact="m", state_dir="s", sequence_length=800)
    (said,) = [
        finding
        for finding in at(broker, check_topics(TopicsSettings(**given, sequence_length=800)))
        if finding.status == "FAIL"
    ]

    with pytest.raises(TopicsError, match="expected 1094140 or more, so that the largest") as end:
        at(broker, ensure_topics(worker))
    assert str(end.value) == str(said)


def test_each_topic_is_created_with_the_policy_of_its_content(
    settings: KafkaSettings, at: Any
) -> None:
    broker = Broker()

    at(broker, create_topics(settings, partitions=2))

    policies = {name: topic.config["cleanup.policy"] for name, topic in broker.topics.items()}
    assert policies == {
        EVENTS: "delete",
        SCORES: "compact",
        DEAD: "delete",
        RECEIPTS: "delete",
        CHANGELOG: "compact",
    }
    # Overwritten and forgotten values leave the disk within a day, whatever the traffic.
    lags = {
        name: topic.config.get("max.compaction.lag.ms") for name, topic in broker.topics.items()
    }
    assert lags == {
        EVENTS: None,
        SCORES: str(DAY_MS),
        DEAD: None,
        RECEIPTS: None,
        CHANGELOG: str(DAY_MS),
    }
    assert [finding.status for finding in at(broker, check_topics(settings))] == ["PASS"] * 19


def test_dead_letter_size_limit_has_room_for_our_headers(settings: KafkaSettings, at: Any) -> None:
    broker = Broker({EVENTS: FakeTopic(2, 1, {"max.message.bytes": "3000000"})})

    at(broker, create_topics(settings))

    assert broker.topics[DEAD].config["max.message.bytes"] == str(3_000_000 + 8_192)


@pytest.mark.parametrize(("brokers", "replication"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_default_replication_is_the_broker_count_up_to_three(
    settings: KafkaSettings, at: Any, brokers: int, replication: int
) -> None:
    broker = Broker(brokers=brokers)

    at(broker, create_topics(settings, partitions=1))

    assert {topic.replication for topic in broker.topics.values()} == {replication}


def test_replication_can_be_given(settings: KafkaSettings, at: Any) -> None:
    broker = Broker(brokers=5)

    at(broker, create_topics(settings, partitions=1, replication=2))

    assert {topic.replication for topic in broker.topics.values()} == {2}


@pytest.mark.parametrize("partitions", [None, 7])
def test_other_topics_get_the_partitions_of_the_events_topic(
    settings: KafkaSettings, at: Any, partitions: int | None
) -> None:
    broker = Broker({EVENTS: FakeTopic(7, 1, KAFKAS_LIMIT)})

    created = at(broker, create_topics(settings, partitions))

    assert created == [SCORES, DEAD, RECEIPTS, CHANGELOG]
    assert {topic.partitions for topic in broker.topics.values()} == {7}


def test_topic_created_by_somebody_else_meanwhile_is_no_error(
    settings: KafkaSettings, at: Any
) -> None:
    broker = Broker(refusals={SCORES: (TopicAlreadyExistsError.errno, None)})

    assert SCORES in at(broker, create_topics(settings))


@pytest.mark.parametrize(
    ("why", "words"),
    [("too many copies", "too many copies"), (None, "InvalidReplicationFactorError")],
)
def test_rejected_topic_is_named_with_the_brokers_reason(
    settings: KafkaSettings, at: Any, why: str | None, words: str
) -> None:
    broker = Broker(refusals={DEAD: (InvalidReplicationFactorError.errno, why)})

    with pytest.raises(TopicsError, match=rf"^{DEAD}: the broker does not create it \({words}\)"):
        at(broker, create_topics(settings))


# --- check and ensure ----------------------------------------------------------------------------


def test_check_finds_wrong_configurations(settings: KafkaSettings, at: Any) -> None:
    delete = {"cleanup.policy": "delete", **KAFKAS_LIMIT}
    broker = Broker(our_topics(scores=FakeTopic(2, 1, delete), dead=FakeTopic(2, 1, delete)))

    found = at(broker, check_topics(settings))

    assert [(f.topic, f.check, f.status) for f in found if f.status != "PASS"] == [
        (SCORES, "cleanup.policy", "FAIL"),
        (DEAD, "max.message.bytes", "WARN"),
    ]


def test_worker_starts_despite_a_warning_but_not_with_a_failed_check(
    settings: KafkaSettings, at: Any, caplog: pytest.LogCaptureFixture
) -> None:
    delete = {"cleanup.policy": "delete", **KAFKAS_LIMIT}

    required = at(Broker(our_topics(dead=FakeTopic(2, 1, delete))), ensure_topics(settings))
    with pytest.raises(TopicsError) as error_info:
        at(Broker(our_topics(scores=FakeTopic(2, 1, delete))), ensure_topics(settings))

    assert required.partitions == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(error_info.value).startswith(f"{SCORES}: cleanup.policy: ")
    assert "more" not in str(error_info.value)  # there is only one


def test_tombstone_retention_comes_from_the_changelog_or_kafkas_default(
    settings: KafkaSettings, at: Any
) -> None:
    compact = {"cleanup.policy": "compact", **KAFKAS_LIMIT}
    week = FakeTopic(2, 1, compact | {"delete.retention.ms": str(7 * DAY_MS)})
    topics = our_topics()
    reported = at(Broker(topics | {CHANGELOG: week}), ensure_topics(settings))
    unreported = at(Broker(topics), ensure_topics(settings))
    del topics[CHANGELOG]
    new = at(Broker(topics), ensure_topics(settings))

    assert reported.tombstones_ms == 7 * DAY_MS
    assert (unreported.tombstones_ms, new.tombstones_ms) == (DAY_MS, DAY_MS)  # Kafka's default


def test_worker_creates_only_a_missing_changelog(settings: KafkaSettings, at: Any) -> None:
    topics = our_topics()
    del topics[CHANGELOG]
    broker = Broker(topics, brokers=2)

    at(broker, ensure_topics(settings))

    changelog = broker.topics[CHANGELOG]
    assert (changelog.partitions, changelog.replication) == (2, 2)
    assert changelog.config["cleanup.policy"] == "compact"


def test_topic_that_appears_only_on_the_second_look_is_found(
    settings: KafkaSettings, at: Any
) -> None:
    broker = Broker(our_topics(), late=[SCORES])

    assert at(broker, ensure_topics(settings)).partitions == 2


# --- whose scores, and whether commits fit --------------------------------------------------------

OURS = {"lately": {0: (5, "scores_topic=lately.scores,since_ms=7,events_id=topic-1")}}
THEIRS = {"other": {0: (5, "scores_topic=lately.scores,since_ms=6")}}


def test_a_worker_does_not_start_on_the_scores_of_a_group_with_an_earlier_claim(
    settings: KafkaSettings, at: Any
) -> None:
    broker = Broker(our_topics(), commits={**OURS, **THEIRS}, writers={"other": [1]})

    with pytest.raises(TopicsError, match=rf"^{SCORES}: owner: found group other, which wrote the"):
        at(broker, ensure_topics(settings))
    with pytest.raises(TopicsError, match=rf"^{SCORES}: owner: found group other, which wrote the"):
        at(broker, ensure_owner(settings, {"other": [1]}))


def test_a_worker_starts_beside_a_group_with_a_later_claim_and_warns(
    settings: KafkaSettings, at: Any, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = {"other": {0: (5, "scores_topic=lately.scores,since_ms=8")}}
    broker = Broker(our_topics(), commits={**OURS, **theirs}, writers={"other": [1]})

    at(broker, ensure_topics(settings))
    at(broker, ensure_owner(settings, {"other": [1]}))

    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "stop other" in caplog.text


def test_a_group_whose_commits_we_may_not_see_keeps_what_it_wrote(
    settings: KafkaSettings, at: Any
) -> None:
    # It loses only against a claim that we have ourselves.
    denied = GroupAuthorizationFailedError("of aiokafka")
    broker = Broker(our_topics(), writers={"other": [1]}, group_error=denied)

    with pytest.raises(TopicsError, match="owner: found group other"):
        at(broker, ensure_topics(settings))


def test_the_topic_of_a_deleted_group_is_free(settings: KafkaSettings, at: Any) -> None:
    broker = Broker(our_topics(), writers={"other": [0, 1]})

    (finding,) = (f for f in at(broker, check_topics(settings)) if f.check == "owner")

    assert finding.status == "PASS"
    assert finding.found == "nobody, after other, which has no commits any more"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Source("topic-2", {0: 0, 1: 0}, {0: 90, 1: 90}), "in another topic of this name, made"),
        (Source(None, {0: 0, 1: 0}, {0: 3, 1: 3}), "5 committed of partition 0, which ends at 3"),
    ],
)
def test_a_worker_does_not_start_on_an_events_topic_that_was_made_anew(
    settings: KafkaSettings, at: Any, source: Source, words: str
) -> None:
    broker = Broker(our_topics(), commits=OURS, source=source)

    with pytest.raises(TopicsError, match=rf"^{EVENTS}: offsets: found .*{words}"):
        at(broker, ensure_topics(settings))


@pytest.mark.parametrize(
    ("members", "status"),
    [(("faust", 2), "PASS"), (("", 2), "PASS"), (("", 0), "PASS"), (("range", 1), "FAIL")],
)
def test_a_group_of_other_consumers_keeps_the_worker_from_starting(
    settings: KafkaSettings, at: Any, members: tuple[str, int], status: str
) -> None:
    # A group that rebalances, or is empty, has no protocol for the moment.
    broker = Broker(our_topics(), members=members)
    (finding,) = (f for f in at(broker, check_topics(settings)) if f.check == "members")

    assert (finding.topic, finding.status) == ("group lately", status)
    assert ("set another --group" in finding.fix) == (status == "FAIL")


# --- errors --------------------------------------------------------------------------------------


def sasl() -> KafkaSettings:
    return KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password="p")


def test_denied_group_stops_the_start_only_with_authentication(
    settings: KafkaSettings, at: Any
) -> None:
    def broker() -> Broker:
        return Broker(our_topics(), group_error=GroupAuthorizationFailedError("of aiokafka"))

    assert at(broker(), ensure_topics(settings)).partitions == 2  # PLAINTEXT: there are no rights
    with pytest.raises(BrokerError, match="to the group lately; give our user the rights"):
        at(broker(), ensure_topics(sasl()))


def test_unavailable_coordinator_does_not_stop_the_start(settings: KafkaSettings, at: Any) -> None:
    broker = Broker(our_topics(), group_error=KafkaConnectionError("closed"))

    assert at(broker, ensure_topics(sasl())).partitions == 2


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ClusterAuthorizationFailedError("kafka-cluster"),
            "denies us access to the cluster kafka-cluster",
        ),
        (KafkaConnectionError("closed"), r"the broker broke off \(KafkaConnectionError"),
    ],
)
def test_kafka_error_is_one_line_with_the_brokers_address(
    settings: KafkaSettings, at: Any, error: KafkaError, words: str
) -> None:
    with pytest.raises(BrokerError, match=rf"^127.0.0.1:1: .*{words}") as error_info:
        at(Broker(error=error), check_topics(settings))

    assert "\n" not in str(error_info.value)


def test_a_changelog_made_anew_keeps_the_worker_from_starting(
    settings: KafkaSettings, at: Any
) -> None:
    """By the commits alone: this worker may have no disk of these partitions."""
    note = "changelog_id=old,changelog_end=7"
    broker = Broker(our_topics(), commits={settings.group: {0: (5, note), 1: (5, "")}})
    at(broker, ensure_topics(settings))  # it is to be created, and the worker looks again

    broker.changelog = Source("new", {0: 0, 1: 0}, {0: 0, 1: 0})

    with pytest.raises(TopicsError, match="states of partition 0 are of another topic"):
        at(broker, ensure_topics(settings))
    broker.changelog = Source("old", {0: 0, 1: 0}, {0: 7, 1: 0})
    at(broker, ensure_topics(settings))
