"""Our topics on a broker: describes them, creates those missing, refuses those that do not fit."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    KafkaTimeoutError,
    TopicAuthorizationFailedError,
)

from stream.errors import BrokerError, TopicsError
from stream.kafka.changelog import assess_changelog
from stream.kafka.commits import (
    Commit,
    CommitNote,
    Source,
    assess_owner,
    assess_source,
    check_members,
    claimed_since_ms,
    fetch_claim,
    fetch_commits,
)
from stream.kafka.connection_errors import AUTHORIZATION_ERRORS, broker_errors, probe_brokers
from stream.kafka.fetching.log_reader import LogReader
from stream.kafka.security import client_options
from stream.kafka.topic_checks import (
    DEAD_LETTER_HEADROOM_BYTES,
    DEFAULT_TOMBSTONES_MS,
    KAFKAS_LIMIT_BYTES,
    Finding,
    Topic,
    assess,
    batch_bytes,
    largest_record_bytes,
)
from stream.kafka.topic_creation import create_missing
from stream.settings import KafkaSettings

TIMEOUT_S = 5.0
PROPAGATION_S = 1.0  # until every broker knows a topic that was just created
DEFAULT_PARTITIONS = 4
MAX_REPLICATION = 3
# Compaction removes an overwritten or forgotten value within a day, whatever the traffic.
_COMPACT = {"cleanup.policy": "compact", "max.compaction.lag.ms": str(24 * 3600 * 1000)}
_KEEP_ALL = {"cleanup.policy": "delete"}
_CHECKED = (
    "cleanup.policy",
    "max.message.bytes",
    "delete.retention.ms",
    "min.insync.replicas",
)


class TopicParameters(NamedTuple):
    """What a worker must know of its topics.

    ``partitions`` of events, scores and changelog; ``tombstones_ms`` is how long the changelog
    keeps the tombstones of forgotten users; no batch may be larger than ``batch_bytes``.
    """

    partitions: int
    tombstones_ms: int
    batch_bytes: int


async def check_topics(settings: KafkaSettings) -> list[Finding]:
    """Compare the topics on the broker with what they must be like.

    Raises BrokerError when no broker answers, or one closes the connection.
    """
    async with _admin(settings) as admin:
        topics = await _describe(admin, settings)
        return assess(settings, topics) + await _assess_records(admin, settings, topics)


async def create_topics(
    settings: KafkaSettings, partitions: int | None = None, replication: int | None = None
) -> list[str]:
    """Create the missing topics, changelog included, and return their names.

    ``partitions`` defaults to that of the events topic or, if there is none, DEFAULT_PARTITIONS;
    ``replication`` to the number of brokers, at most MAX_REPLICATION.

    Raises TopicsError when the events topic has another number of partitions, or a broker refuses;
    BrokerError as `check_topics` does.
    """
    async with _admin(settings) as admin:
        topics = await _describe(admin, settings)
        events = topics.get(settings.events_topic)
        if events and partitions not in (None, events.partitions):
            raise TopicsError(
                f"{settings.events_topic}: has {events.partitions} partitions, not {partitions}; "
                "leave out --partitions, or name a new topic by LATELY_EVENTS_TOPIC"
            )
        if partitions is None:
            partitions = DEFAULT_PARTITIONS
        if events:
            partitions = events.partitions
        if replication is None:
            replication = await _default_replication(admin)
        created = await create_missing(
            admin, topics, {settings.events_topic: _KEEP_ALL}, partitions, replication
        )
        topics = await _describe(admin, settings)
        others = {
            settings.scores_topic: _COMPACT,
            settings.dead_topic: _dead_letter_config(topics[settings.events_topic]),
            settings.receipts_topic: _KEEP_ALL,
            settings.changelog_topic: _changelog_config(settings),
        }
        return created + await create_missing(admin, topics, others, partitions, replication)


async def ensure_topics(settings: KafkaSettings) -> TopicParameters:
    """Ensure that the topics fit a worker, and return what it must know of them.

    A missing changelog is created here, since no other group uses it.

    Raises TopicsError that names the first fault and its fix; BrokerError as `check_topics` does.
    """
    async with _admin(settings) as admin:
        topics = await _describe_twice(admin, settings)
        findings = assess(settings, topics) + await _assess_records(admin, settings, topics)
        failed = [finding for finding in findings if finding.status == "FAIL"]
        if failed:
            more = f" (and {len(failed) - 1} more: `lately topics`)" if len(failed) > 1 else ""
            raise TopicsError(f"{failed[0]}{more}")
        for finding in findings:
            if finding.status == "WARN":
                logging.getLogger(__name__).warning("%s", finding)
        partitions = topics[settings.events_topic].partitions
        await _check_group_access(admin, settings)
        changelog = {settings.changelog_topic: _changelog_config(settings)}
        if await create_missing(
            admin, topics, changelog, partitions, await _default_replication(admin)
        ):
            topics = await _describe(admin, settings)
        found_ms = topics[settings.changelog_topic].delete_retention_ms
        return TopicParameters(
            partitions,
            DEFAULT_TOMBSTONES_MS if found_ms is None else found_ms,
            batch_bytes(t for name, t in topics.items() if name != settings.events_topic),
        )


async def ensure_owner(settings: KafkaSettings, writers: Mapping[str, Iterable[int]]) -> None:
    """Raise TopicsError if the scores topic belongs to one of these groups, and not to ours.

    ``writers`` are the groups that wrote there, with the partitions. Raises BrokerError as
    `check_topics` does.
    """
    async with _admin(settings) as admin:
        claims = {
            name: await fetch_claim(admin, settings, name) for name in {*writers, settings.group}
        }
    finding = assess_owner(settings, writers, claims)
    if finding.status == "FAIL":
        raise TopicsError(str(finding))
    if finding.status == "WARN":
        logging.getLogger(__name__).warning("%s", finding)


async def _assess_records(
    admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: dict[str, Topic]
) -> list[Finding]:
    """What only records and commits tell: whose the scores are, and whether our commits fit."""
    if not {settings.events_topic, settings.scores_topic} <= topics.keys():
        return []
    try:
        async with LogReader(settings) as reader:
            source = await reader.read(settings.events_topic)
            if source is None:
                return []
            committed = await fetch_commits(admin, settings.group) or {}
            commits = {
                tp.partition: Commit(found.offset, CommitNote.decode(found.metadata))
                for tp, found in committed.items()
                if tp.topic == settings.events_topic and found.offset >= 0
            }
            offsets = {number: commit.offset for number, commit in commits.items()}
            beyond = await reader.beyond(settings.events_topic, source, offsets)
            writers = await reader.last_groups(settings.scores_topic)
            changelog = await reader.read(settings.changelog_topic)
    except (TopicAuthorizationFailedError, KafkaTimeoutError) as error:
        why = f"cannot be read ({type(error).__name__})"
        return [
            Finding("SKIP", settings.events_topic, "offsets", why, "commits that fit the log"),
            Finding("SKIP", settings.scores_topic, "owner", why, f"group {settings.group} alone"),
        ]
    claims = {name: await fetch_claim(admin, settings, name) for name in writers}
    claims[settings.group] = claimed_since_ms(
        committed, settings.events_topic, settings.scores_topic
    )
    return [
        assess_source(settings, source, commits, beyond),
        assess_owner(settings, writers, claims),
        await check_members(admin, settings),
        *_assess_states(settings, changelog, commits),
    ]


def _assess_states(
    settings: KafkaSettings, changelog: Source | None, commits: Mapping[int, Commit]
) -> list[Finding]:
    if changelog is None:  # the worker creates it, and looks again
        return []
    notes = {number: commit.note for number, commit in commits.items()}
    return [assess_changelog(settings, changelog.id, notes)]


async def _check_group_access(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
    """Raise GroupAuthorizationFailedError if we may not join; Faust would wait forever."""
    if settings.security_protocol == "PLAINTEXT":
        return  # without authentication there are no rights to check
    try:
        await admin.list_consumer_group_offsets(settings.group)
    except AUTHORIZATION_ERRORS as error:
        raise GroupAuthorizationFailedError(settings.group) from error
    except KafkaError:
        return  # its coordinator may be starting


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    def describe(error: Exception, _advice: str) -> str:
        return f"{settings.bootstrap}: the broker broke off ({error!r}); see its log and try again"

    async with broker_errors(settings, describe):
        admin = AIOKafkaAdminClient(
            **client_options(settings), request_timeout_ms=int(TIMEOUT_S * 1000)
        )
        try:
            await _connect(admin, settings)
            yield admin
        finally:
            await admin.close()


async def _connect(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> None:
    advice = ""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                try:
                    await admin.start()
                    return
                except KafkaError:
                    advice = await probe_brokers(settings)
                    await asyncio.sleep(0.25)  # a broker may be starting at the same time
    except TimeoutError:
        does = "lets us in" if advice else "answers"
        raise BrokerError(
            f"{settings.bootstrap}: no Kafka broker {does} within {TIMEOUT_S:.0f} s; "
            + (advice or "start it or set --bootstrap")
        ) from None


async def _describe(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> dict[str, Topic]:
    # Ask for all topics: asking for one by name may create it.
    partitions = {
        topic["topic"]: topic["partitions"]
        for topic in await admin.describe_topics()
        if topic["topic"] in settings.topics
    }
    configs = await _configs(admin, list(partitions))
    return {
        name: Topic(
            len(found),
            configs.get(name, {}).get("cleanup.policy"),
            _integer(configs.get(name, {}).get("max.message.bytes")),
            _integer(configs.get(name, {}).get("delete.retention.ms")),
            min((len(partition["replicas"]) for partition in found), default=None),
            _integer(configs.get(name, {}).get("min.insync.replicas")),
        )
        for name, found in partitions.items()
    }


async def _describe_twice(admin: AIOKafkaAdminClient, settings: KafkaSettings) -> dict[str, Topic]:
    # A worker is often started right after its topics are created, before a broker knows them.
    topics = await _describe(admin, settings)
    if set(topics) < set(settings.topics):
        await asyncio.sleep(PROPAGATION_S)
        topics = await _describe(admin, settings)
    return topics


async def _configs(admin: AIOKafkaAdminClient, topics: list[str]) -> dict[str, dict[str, str]]:
    """Configurations by topic, without those that the broker does not report."""
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


def _changelog_config(settings: KafkaSettings) -> dict[str, str]:
    largest = largest_record_bytes(settings.changelog_topic, settings)
    if largest <= KAFKAS_LIMIT_BYTES:
        return _COMPACT
    return {**_COMPACT, "max.message.bytes": str(largest)}


def _dead_letter_config(events: Topic) -> dict[str, str]:
    if events.max_message_bytes is None:
        return _KEEP_ALL
    largest = events.max_message_bytes + DEAD_LETTER_HEADROOM_BYTES
    return {**_KEEP_ALL, "max.message.bytes": str(largest)}
