"""The preflight on a real Kafka, which tells all it is asked."""

import asyncio
import uuid

import pytest

from stream.errors import TopicsError
from stream.kafka.topic_checks import Finding
from stream.kafka.topics import check_topics, create_topics, ensure_topics
from stream.settings import KafkaSettings
from tests.kafka.client import Client
from tests.kafka.process import wait_until

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(bootstrap: str) -> KafkaSettings:
    """Settings with topics that nobody else has."""
    name = f"preflight-{uuid.uuid4().hex[:8]}"
    return KafkaSettings(
        bootstrap=bootstrap,
        group=name,
        events_topic=f"{name}.events",
        scores_topic=f"{name}.scores",
        dead_topic=f"{name}.dead",
        receipts_topic=f"{name}.receipts",
    )


def all_made(settings: KafkaSettings, client: Client) -> bool:
    return set(settings.topics) <= client.topics()


def unfit(settings: KafkaSettings) -> list[Finding]:
    return [finding for finding in asyncio.run(check_topics(settings)) if finding.status != "PASS"]


def test_what_we_make_passes_every_check(settings: KafkaSettings) -> None:
    asyncio.run(create_topics(settings, partitions=3))

    assert unfit(settings) == []
    assert asyncio.run(ensure_topics(settings)).partitions == 3


def test_dead_letters_get_room_for_events_larger_than_usual(
    settings: KafkaSettings, client: Client
) -> None:
    client.create_topic(settings.events_topic, 2, max_message_bytes=str(3_000_000))
    assert wait_until(lambda: settings.events_topic in client.topics(), 30)  # all may see it

    asyncio.run(create_topics(settings))

    assert unfit(settings) == []


def test_each_thing_wrong_is_found_and_the_worker_does_not_start(
    settings: KafkaSettings, client: Client
) -> None:
    client.create_topic(settings.events_topic, 4, cleanup_policy="compact")
    client.create_topic(settings.scores_topic, 4, cleanup_policy="delete", min_insync_replicas="2")
    client.create_topic(settings.dead_topic, 1)
    client.create_topic(settings.receipts_topic, 1, cleanup_policy="compact")
    client.create_topic(settings.changelog_topic, 3, cleanup_policy="compact")
    assert wait_until(lambda: all_made(settings, client), 10.0)

    found = {(finding.topic, finding.check, finding.status) for finding in unfit(settings)}

    assert found == {
        (settings.events_topic, "cleanup.policy", "FAIL"),
        (settings.scores_topic, "cleanup.policy", "FAIL"),
        (settings.scores_topic, "min.insync.replicas", "FAIL"),  # of the one replica there is
        (settings.dead_topic, "max.message.bytes", "WARN"),
        (settings.receipts_topic, "cleanup.policy", "FAIL"),
        (settings.changelog_topic, "partitions", "FAIL"),
    }
    with pytest.raises(TopicsError, match=r"partitions: found 3, expected 4.*\(and 4 more"):
        asyncio.run(ensure_topics(settings))


def test_a_changelog_made_by_the_worker_is_compacted(
    settings: KafkaSettings, client: Client
) -> None:
    client.create_topic(settings.events_topic, 2)
    client.create_topic(settings.scores_topic, 2, cleanup_policy="compact")
    client.create_topic(settings.dead_topic, 2, max_message_bytes=str(1_048_588 + 8_192))
    client.create_topic(settings.receipts_topic, 1)
    made = set(settings.topics) - {settings.changelog_topic}
    assert wait_until(lambda: made <= client.topics(), 30.0)

    asyncio.run(ensure_topics(settings))

    assert unfit(settings) == []
