"""Our topics on a broker: looks at them, makes those missing, refuses those that do not fit."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAlreadyExistsError,
    for_code,
)

from stream.errors import BrokerError, TopicsError
from stream.kafka.connection_errors import DENIED, denial, quiet_client, raise_refusal
from stream.kafka.security import client_options
from stream.kafka.topic_checks import (
    DEAD_LETTER_HEADROOM_BYTES,
    DEFAULT_TOMBSTONES_MS,
    Finding,
    Topic,
    judge,
    names,
)
from stream.settings import KafkaSettings

PATIENCE_S = 5.0
SETTLE_S = 1.0
DEFAULT_PARTITIONS = 4
MAX_REPLICATION = 3
# An overwritten or forgotten value leaves the disk within a day, whatever the traffic.
_COMPACT = {"cleanup.policy": "compact", "max.compaction.lag.ms": str(24 * 3600 * 1000)}
_KEEP_ALL = {"cleanup.policy": "delete"}
_CHECKED = ("cleanup.policy", "max.message.bytes", "delete.retention.ms")


class TopicParameters(NamedTuple):
    """What a worker must know of its topics: partitions of events, and of the changelog its memory.

    ``tombstones_ms`` is how long the changelog keeps what says that a user was forgotten.
    """

    partitions: int
    tombstones_ms: int


async def check_topics(settings: KafkaSettings) -> list[Finding]:
    """Look at the topics, and say of each what is right and wrong.

    Raises BrokerError when no broker answers, or it breaks off.
    """
    async with _admin(settings) as admin:
        return judge(settings, await _look(admin, settings))


async def create_topics(
    settings: KafkaSettings, partitions: int | None = None, replication: int | None = None
) -> list[str]:
    """Make the topics that are missing, changelog included, and return their names.

    ``partitions`` is by default what the events topic has or, if that is missing too,
    DEFAULT_PARTITIONS; ``replication`` the number of brokers, three at most.

    Raises TopicsError when the events topic has another number of partitions, or a broker refuses;
    BrokerError as `check_topics` does.
    """
    async with _admin(settings) as admin:
        topics = await _look(admin, settings)
        events = topics.get(settings.events_topic)
        if events and partitions not in (None, events.partitions):
            raise TopicsError(
                f"{settings.events_topic}: has {events.partitions} partitions, not {partitions}; "
                "leave out --partitions, or name a new topic by LATELY_EVENTS_TOPIC"
            )
        partitions = events.partitions if events else partitions or DEFAULT_PARTITIONS
        replication = replication or await _default_replication(admin)
        made = await _make(
            admin, topics, {settings.events_topic: _KEEP_ALL}, partitions, replication
        )
        topics = await _look(admin, settings)
        others = {
            settings.scores_topic: _COMPACT,
            settings.dead_topic: _dead_letter_config(topics[settings.events_topic]),
            settings.receipts_topic: _KEEP_ALL,
            settings.changelog_topic: _COMPACT,
        }
        return made + await _make(admin, topics, others, partitions, replication)


async def ensure_topics(settings: KafkaSettings) -> TopicParameters:
    """See that the worker may start, and return what it must know of its topics.

    A missing changelog is made here: it is the group's own, and nobody else's to make.

    Raises TopicsError that names the first fault and its fix; BrokerError as `check_topics` does.
    """
    async with _admin(settings) as admin:
        topics = await _look_twice(admin, settings)
        findings = judge(settings, topics)
        wrong = [finding for finding in findings if finding.status == "FAIL"]
        if wrong:
            more = f" (and {len(wrong) - 1} more: `lately topics`)" if len(wrong) > 1 else ""
            raise TopicsError(f"{wrong[0]}{more}")
        for finding in findings:
            if finding.status == "WARN":
                logging.getLogger(__name__).warning("%s", finding)
        partitions = topics[settings.events_topic].partitions
        await _may_join(admin, settings)
        changelog = {settings.changelog_topic: _COMPACT}
        await _make(admin, topics, changelog, partitions, await _default_replication(admin))
        known = topics.get(settings.changelog_topic)
        told_ms = known.delete_retention_ms if known else None
        return TopicParameters(partitions, DEFAULT_TOMBSTONES_MS if told_ms is None else told_ms)


async def _may_join(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
    """Raise GroupAuthorizationFailedError where the group is not ours to join: Faust waits on."""
    if settings.security_protocol == "PLAINTEXT":
        return  # where nobody proves who they are, rights are of no use
    try:
        await admin.list_consumer_group_offsets(settings.group)
    except DENIED as error:
        raise GroupAuthorizationFailedError(settings.group) from error
    except KafkaError:
        return  # its coordinator may be starting


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(
        **client_options(settings), request_timeout_ms=int(PATIENCE_S * 1000)
    )
    try:
        with quiet_client():
            await _connect(admin, settings)
            yield admin
    except DENIED as error:
        raise BrokerError(f"{settings.bootstrap}: {denial(error)}") from error
    except (KafkaError, OSError) as error:
        await raise_refusal(settings)
        raise BrokerError(
            f"{settings.bootstrap}: the broker broke off ({error!r}); see its log and try again"
        ) from error
    finally:
        await admin.close()


async def _connect(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
    advice = ""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    await admin.start()
                    return
                except KafkaError:
                    advice = await raise_refusal(settings)
                    await asyncio.sleep(0.25)  # a broker may be starting beside us
    except TimeoutError:
        does = "lets us in" if advice else "answers"
        raise BrokerError(
            f"{settings.bootstrap}: no Kafka broker {does} within {PATIENCE_S:.0f} s; "
            + (advice or "start it or set --bootstrap")
        ) from None


async def _look(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> dict[str, Topic]:
    # Asks for all topics: to ask for one by name makes some brokers create it.
    partitions = {
        topic["topic"]: len(topic["partitions"])
        for topic in await admin.describe_topics()
        if topic["topic"] in names(settings)
    }
    configs = await _configs(admin, list(partitions))
    return {
        name: Topic(
            count,
            configs.get(name, {}).get("cleanup.policy"),
            _integer(configs.get(name, {}).get("max.message.bytes")),
            _integer(configs.get(name, {}).get("delete.retention.ms")),
        )
        for name, count in partitions.items()
    }


async def _look_twice(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> dict[str, Topic]:
    # A broker may not know yet of a topic made a moment ago, and a worker is often started then.
    topics = await _look(admin, settings)
    if set(topics) < set(names(settings)):
        await asyncio.sleep(SETTLE_S)
        topics = await _look(admin, settings)
    return topics


async def _configs(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, dict[str, str]]:
    """Configurations by topic; without those that the broker cannot or will not tell."""
    wanted = dict.fromkeys(_CHECKED)
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in topics]
    if not resources:
        return {}
    try:
        answers = await admin.describe_configs(resources)
    except KafkaError:
        return {}  # the embedded broker closes the connection at this request
    return {
        name: {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for error_code, _message, _type, name, entries in answer.resources
        if not error_code
    }


def _integer(text: str | None) -> int | None:
    return None if text is None else int(text)


async def _default_replication(admin: AIOKafkaAdminClient) -> int:
    return min(MAX_REPLICATION, len((await admin.describe_cluster())["brokers"]))


def _dead_letter_config(events: Topic) -> dict[str, str]:
    if events.max_message_bytes is None:
        return _KEEP_ALL
    largest = events.max_message_bytes + DEAD_LETTER_HEADROOM_BYTES
    return {**_KEEP_ALL, "max.message.bytes": str(largest)}


async def _make(
    admin: AIOKafkaAdminClient,
    topics: dict[str, Topic],
    wanted: dict[str, dict[str, str]],
    partitions: int,
    replication: int,
) -> list[str]:
    """Make those wanted that are not there, and wait until the broker shows them."""
    missing = [
        NewTopic(name, partitions, replication, topic_configs=config)
        for name, config in wanted.items()
        if name not in topics
    ]
    if not missing:
        return []
    answer = await admin.create_topics(missing)
    for name, code, message in answer.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):  # another worker may have been faster
            reason = message or for_code(code).__name__
            raise TopicsError(
                f"{name}: the broker does not create it ({reason}); create it by hand, or let us: "
                "deploy/kafka/acls.sh"
            )
    made = [topic.name for topic in missing]
    async with asyncio.timeout(PATIENCE_S):
        while not set(made) <= {topic["topic"] for topic in await admin.describe_topics()}:
            await asyncio.sleep(0.05)
    return made
