"""The topics on the embedded broker, which does not report configurations."""

import asyncio
from collections.abc import Iterator

import pytest

from stream.demo.embedded_broker import EmbeddedBroker
from stream.errors import BrokerError, TopicsError
from stream.kafka import topics as module
from stream.kafka.topics import check_topics, create_topics, ensure_topics
from stream.settings import KafkaSettings


@pytest.fixture
def settings() -> Iterator[KafkaSettings]:
    with EmbeddedBroker() as broker:
        yield KafkaSettings(bootstrap=broker.bootstrap)


def test_what_is_missing_is_made_once(settings: KafkaSettings) -> None:
    made = asyncio.run(create_topics(settings, partitions=3))

    assert made == [
        "lately.events",
        "lately.scores",
        "lately.events.dead",
        "lately.receipts",
        "lately-state-changelog",
    ]
    assert asyncio.run(create_topics(settings)) == []
    assert asyncio.run(ensure_topics(settings)).partitions == 3


def test_a_worker_is_told_the_first_thing_wrong_and_how_many_more(settings: KafkaSettings) -> None:
    with pytest.raises(TopicsError) as refusal:
        asyncio.run(ensure_topics(settings))

    assert str(refusal.value) == (
        "lately.events: exists: found no such topic, expected a topic; "
        "run `lately topics --create` with the same settings, or grant us access to it: "
        "deploy/kafka/acls.sh "
        "(and 3 more: `lately topics`)"
    )


def test_scores_with_other_partitions_stop_the_worker(settings: KafkaSettings) -> None:
    asyncio.run(create_topics(KafkaSettings(bootstrap=settings.bootstrap, events_topic="few"), 2))
    asyncio.run(create_topics(KafkaSettings(bootstrap=settings.bootstrap, scores_topic="many"), 4))

    with pytest.raises(TopicsError, match=r"lately\.scores: partitions: found 2, expected 4"):
        asyncio.run(ensure_topics(settings))


def test_the_worker_makes_its_missing_changelog_as_wide_as_the_events(
    settings: KafkaSettings,
) -> None:
    asyncio.run(create_topics(settings, partitions=3))
    other_group = KafkaSettings(bootstrap=settings.bootstrap, group="other")

    asyncio.run(ensure_topics(other_group))

    found = {
        str(f.topic): f.found for f in asyncio.run(check_topics(other_group)) if f.check == "exists"
    }
    assert found["other-state-changelog"] == "3 partitions"


def test_existing_events_are_never_widened(settings: KafkaSettings) -> None:
    asyncio.run(create_topics(settings, partitions=3))

    with pytest.raises(TopicsError, match=r"lately\.events: has 3 partitions, not 8"):
        asyncio.run(create_topics(settings, partitions=8))


def test_a_broker_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.5)

    with pytest.raises(BrokerError) as refusal:
        asyncio.run(check_topics(KafkaSettings(bootstrap="127.0.0.1:1")))

    assert str(refusal.value).startswith("127.0.0.1:1: no Kafka broker answers within")
    assert str(refusal.value).endswith("start it or set --bootstrap")
    assert capfd.readouterr().err == ""
