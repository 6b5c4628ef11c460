"""The preflight against a broker: the embedded one, which does not tell configurations."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from stream.demo.embedded_broker import EmbeddedBroker
from stream.errors import BrokerError, SettingsError, TopicsError
from stream.kafka import topics as module
from stream.kafka.topics import check, create, require, topics
from stream.settings import KafkaSettings


@pytest.fixture
def settings() -> Iterator[KafkaSettings]:
    with EmbeddedBroker() as broker:
        yield KafkaSettings(bootstrap=broker.bootstrap)


def test_what_is_missing_is_made_once(settings: KafkaSettings) -> None:
    made = asyncio.run(create(settings, partitions=3))

    assert made == [
        "lately.events",
        "lately.scores",
        "lately.events.dead",
        "lately.receipts",
        "lately-state-changelog",
    ]
    assert asyncio.run(create(settings)) == []
    assert asyncio.run(require(settings)).partitions == 3


def test_a_worker_is_told_the_first_thing_wrong_and_how_many_more(settings: KafkaSettings) -> None:
    with pytest.raises(TopicsError) as refusal:
        asyncio.run(require(settings))

    assert str(refusal.value) == (
        "lately.events: exists: found no such topic, expected a topic; "
        "run `lately topics --create`, or let us see it: deploy/kafka/acls.sh "
        "(and 3 more: `lately topics`)"
    )


def test_scores_with_other_partitions_stop_the_worker(settings: KafkaSettings) -> None:
    asyncio.run(create(KafkaSettings(bootstrap=settings.bootstrap, events_topic="few"), 2))
    asyncio.run(create(KafkaSettings(bootstrap=settings.bootstrap, scores_topic="many"), 4))

    with pytest.raises(TopicsError, match=r"lately\.scores: partitions: found 2, expected 4"):
        asyncio.run(require(settings))


def test_the_worker_makes_its_missing_changelog_as_wide_as_the_events(
    settings: KafkaSettings,
) -> None:
    asyncio.run(create(settings, partitions=3))
    other_group = KafkaSettings(bootstrap=settings.bootstrap, group="other")

    asyncio.run(require(other_group))

    found = {str(f.topic): f.found for f in asyncio.run(check(other_group)) if f.check == "exists"}
    assert found["other-state-changelog"] == "3 partitions"


def test_existing_events_are_never_widened(settings: KafkaSettings) -> None:
    asyncio.run(create(settings, partitions=3))

    with pytest.raises(TopicsError, match=r"lately\.events: has 3 partitions, not 8"):
        asyncio.run(create(settings, partitions=8))


def test_the_command_fails_then_creates_then_passes(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert topics(settings) == 1
    assert "FAIL  lately.events           exists  no such topic" in capsys.readouterr().out

    assert topics(settings, create_missing=True, partitions=2) == 0
    assert "created lately.scores\n" in capsys.readouterr().out

    assert topics(settings, as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["fit"], answer["created"]) == (True, [])
    assert {"PASS", "SKIP"} == {finding["status"] for finding in answer["findings"]}


def test_partitions_without_create_make_no_sense() -> None:
    with pytest.raises(SettingsError, match="--partitions: nothing is made without --create"):
        topics(KafkaSettings(), partitions=4)


def test_a_broker_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.5)

    with pytest.raises(BrokerError) as refusal:
        asyncio.run(check(KafkaSettings(bootstrap="127.0.0.1:1")))

    assert str(refusal.value).startswith("127.0.0.1:1: no Kafka broker answers within")
    assert str(refusal.value).endswith("start it or set --bootstrap")
    assert capfd.readouterr().err == ""
