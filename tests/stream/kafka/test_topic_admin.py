"""Topics at a broker that tells its configurations and may refuse: what is asked of it, and how."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    InvalidReplicationFactorError,
    KafkaConnectionError,
    KafkaError,
    TopicAlreadyExistsError,
)

from stream.errors import BrokerError, TopicsError
from stream.kafka import topics as module
from stream.kafka.topics import check_topics, create_topics, ensure_topics
from stream.settings import KafkaSettings

EVENTS, SCORES, DEAD = "lately.events", "lately.scores", "lately.events.dead"
RECEIPTS, CHANGELOG = "lately.receipts", "lately-state-changelog"
KAFKAS_LIMIT = {"max.message.bytes": "1048588"}
DAY_MS = 24 * 3_600_000


class Made(NamedTuple):
    """A topic at the broker."""

    partitions: int
    replication: int
    config: Mapping[str, str]


class Broker:
    """What it has; ``refusals`` are the topics that it does not make, and with which error."""

    def __init__(
        self,
        topics: Mapping[str, Made] | None = None,
        brokers: int = 1,
        refusals: Mapping[str, tuple[int, str | None]] | None = None,
        error: KafkaError | None = None,
        group_error: KafkaError | None = None,
        late: Sequence[str] = (),
    ) -> None:
        self.topics = dict(topics or {})
        self.brokers, self.refusals = brokers, refusals or {}
        self.error, self.group_error = error, group_error
        self.late = set(late)  # topics that it shows only when it is asked a second time
        self.open_clients = 0


class Admin:
    """What we use of the client's admin."""

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
            {"topic": name, "partitions": [None] * made.partitions}
            for name, made in self._broker.topics.items()
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
                self._broker.topics[topic.name] = Made(
                    topic.num_partitions, topic.replication_factor, config
                )
            errors.append((topic.name, code, why))
        return SimpleNamespace(topic_errors=errors)

    async def list_consumer_group_offsets(self, group: str) -> dict[Any, Any]:
        if self._broker.group_error:
            raise self._broker.group_error
        return {}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    monkeypatch.setattr(module, "PROPAGATION_S", 0.0)
    return KafkaSettings(bootstrap="127.0.0.1:1")


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give the function that runs one of ours at a broker, and sees that no client stays open."""

    def run(broker: Broker, work: Any) -> Any:
        monkeypatch.setattr(module, "AIOKafkaAdminClient", lambda **options: Admin(broker))
        try:
            return asyncio.run(work)
        finally:
            assert broker.open_clients == 0

    return run


def made_by_us(**changes: Made) -> dict[str, Made]:
    """Topics as we make them, of two partitions; ``changes`` by the first letters of a name."""
    compact = {"cleanup.policy": "compact", **KAFKAS_LIMIT}
    keep = {"cleanup.policy": "delete", **KAFKAS_LIMIT}
    roomy = keep | {"max.message.bytes": str(1_048_588 + 8_192)}
    return {
        EVENTS: changes.get("events", Made(2, 1, keep)),
        SCORES: changes.get("scores", Made(2, 1, compact)),
        DEAD: changes.get("dead", Made(2, 1, roomy)),
        RECEIPTS: changes.get("receipts", Made(2, 1, keep)),
        CHANGELOG: changes.get("changelog", Made(2, 1, compact)),
    }


# --- making them ---------------------------------------------------------------------------------


def test_each_topic_is_made_for_what_lies_in_it(settings: KafkaSettings, at: Any) -> None:
    broker = Broker()

    at(broker, create_topics(settings, partitions=2))

    policies = {name: made.config["cleanup.policy"] for name, made in broker.topics.items()}
    assert policies == {
        EVENTS: "delete",
        SCORES: "compact",
        DEAD: "delete",
        RECEIPTS: "delete",
        CHANGELOG: "compact",
    }
    # What was overwritten or forgotten is off the disk within a day, however quiet the shop is.
    lags = {name: made.config.get("max.compaction.lag.ms") for name, made in broker.topics.items()}
    assert lags == {
        EVENTS: None,
        SCORES: str(DAY_MS),
        DEAD: None,
        RECEIPTS: None,
        CHANGELOG: str(DAY_MS),
    }
    assert [finding.status for finding in at(broker, check_topics(settings))] == ["PASS"] * 13


def test_dead_letters_have_room_for_the_largest_event_and_what_we_add(
    settings: KafkaSettings, at: Any
) -> None:
    broker = Broker({EVENTS: Made(2, 1, {"max.message.bytes": "3000000"})})

    at(broker, create_topics(settings))

    assert broker.topics[DEAD].config["max.message.bytes"] == str(3_000_000 + 8_192)


@pytest.mark.parametrize(("brokers", "replication"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_there_are_as_many_copies_as_brokers_but_no_more_than_three(
    settings: KafkaSettings, at: Any, brokers: int, replication: int
) -> None:
    broker = Broker(brokers=brokers)

    at(broker, create_topics(settings, partitions=1))

    assert {made.replication for made in broker.topics.values()} == {replication}


def test_copies_may_be_asked_for(settings: KafkaSettings, at: Any) -> None:
    broker = Broker(brokers=5)

    at(broker, create_topics(settings, partitions=1, replication=2))

    assert {made.replication for made in broker.topics.values()} == {2}


def test_the_others_are_as_wide_as_the_events(settings: KafkaSettings, at: Any) -> None:
    broker = Broker({EVENTS: Made(7, 1, KAFKAS_LIMIT)})

    made = at(broker, create_topics(settings, partitions=7))

    assert made == [SCORES, DEAD, RECEIPTS, CHANGELOG]
    assert {made.partitions for made in broker.topics.values()} == {7}


def test_a_topic_that_somebody_made_meanwhile_is_no_failure(
    settings: KafkaSettings, at: Any
) -> None:
    broker = Broker(refusals={SCORES: (TopicAlreadyExistsError.errno, None)})

    assert SCORES in at(broker, create_topics(settings))


@pytest.mark.parametrize(
    ("why", "words"),
    [("too many copies", "too many copies"), (None, "InvalidReplicationFactorError")],
)
def test_a_topic_that_the_broker_does_not_make_is_named_with_its_reason(
    settings: KafkaSettings, at: Any, why: str | None, words: str
) -> None:
    broker = Broker(refusals={DEAD: (InvalidReplicationFactorError.errno, why)})

    with pytest.raises(TopicsError, match=rf"^{DEAD}: the broker does not create it \({words}\)"):
        at(broker, create_topics(settings))


# --- looking at them -----------------------------------------------------------------------------


def test_a_configuration_that_does_not_fit_is_found(settings: KafkaSettings, at: Any) -> None:
    delete = {"cleanup.policy": "delete", **KAFKAS_LIMIT}
    broker = Broker(made_by_us(scores=Made(2, 1, delete), dead=Made(2, 1, delete)))

    found = at(broker, check_topics(settings))

    assert [(f.topic, f.check, f.status) for f in found if f.status != "PASS"] == [
        (SCORES, "cleanup.policy", "FAIL"),
        (DEAD, "max.message.bytes", "WARN"),
    ]


def test_a_worker_starts_with_a_warning_but_not_with_a_failure(
    settings: KafkaSettings, at: Any, caplog: pytest.LogCaptureFixture
) -> None:
    delete = {"cleanup.policy": "delete", **KAFKAS_LIMIT}

    required = at(Broker(made_by_us(dead=Made(2, 1, delete))), ensure_topics(settings))
    with pytest.raises(TopicsError) as refusal:
        at(Broker(made_by_us(scores=Made(2, 1, delete))), ensure_topics(settings))

    assert required.partitions == 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(refusal.value).startswith(f"{SCORES}: cleanup.policy: ")
    assert "more" not in str(refusal.value)  # it is the only one


def test_a_worker_knows_how_long_its_changelog_remembers_who_was_deleted(
    settings: KafkaSettings, at: Any
) -> None:
    compact = {"cleanup.policy": "compact", **KAFKAS_LIMIT}
    week = Made(2, 1, compact | {"delete.retention.ms": str(7 * DAY_MS)})
    topics = made_by_us()
    told = at(Broker(topics | {CHANGELOG: week}), ensure_topics(settings))
    not_told = at(Broker(topics), ensure_topics(settings))
    del topics[CHANGELOG]
    new = at(Broker(topics), ensure_topics(settings))

    assert told.tombstones_ms == 7 * DAY_MS
    assert (not_told.tombstones_ms, new.tombstones_ms) == (DAY_MS, DAY_MS)  # Kafka's default


def test_a_worker_makes_its_changelog_and_nothing_else(settings: KafkaSettings, at: Any) -> None:
    topics = made_by_us()
    del topics[CHANGELOG]
    broker = Broker(topics, brokers=2)

    at(broker, ensure_topics(settings))

    changelog = broker.topics[CHANGELOG]
    assert (changelog.partitions, changelog.replication) == (2, 2)
    assert changelog.config["cleanup.policy"] == "compact"


def test_a_topic_made_a_moment_ago_may_be_shown_late(settings: KafkaSettings, at: Any) -> None:
    broker = Broker(made_by_us(), late=[SCORES])

    assert at(broker, ensure_topics(settings)).partitions == 2


# --- refusals ------------------------------------------------------------------------------------


def sasl() -> KafkaSettings:
    return KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl_username="u", sasl_password="p")


def test_a_group_that_is_not_ours_ends_the_start_where_a_broker_knows_who_we_are(
    settings: KafkaSettings, at: Any
) -> None:
    def broker() -> Broker:
        return Broker(made_by_us(), group_error=GroupAuthorizationFailedError("of aiokafka"))

    assert at(broker(), ensure_topics(settings)).partitions == 2  # PLAINTEXT: there are no rights
    with pytest.raises(BrokerError, match="to the group lately; give our user the rights"):
        at(broker(), ensure_topics(sasl()))


def test_a_coordinator_that_is_starting_does_not_end_the_start(
    settings: KafkaSettings, at: Any
) -> None:
    broker = Broker(made_by_us(), group_error=KafkaConnectionError("closed"))

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
def test_what_ends_the_look_is_one_line_with_the_brokers_address(
    settings: KafkaSettings, at: Any, error: KafkaError, words: str
) -> None:
    with pytest.raises(BrokerError, match=rf"^127.0.0.1:1: .*{words}") as refusal:
        at(Broker(error=error), check_topics(settings))

    assert "\n" not in str(refusal.value)
