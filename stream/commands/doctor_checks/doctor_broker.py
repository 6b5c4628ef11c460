"""The checks of `lately doctor` on the broker: version, topics, access, clock, group."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from stream.commands.doctor_checks.doctor_machine import Check, assess_open_files
from stream.commands.terminal import counted
from stream.errors import LatelyError, StateError
from stream.kafka.command_clients import partitions_of
from stream.kafka.commits import start_over
from stream.kafka.fetching.lenient_headers import LenientConsumer
from stream.kafka.fetching.log_reader import LogReader
from stream.kafka.placement import check_recent_keys
from stream.kafka.protocol import api_versions
from stream.kafka.security import client_options
from stream.kafka.topic_checks import Finding, Status, exists
from stream.kafka.topics import check_topics
from stream.settings import DoctorSettings, KafkaSettings
from stream.storage.open_files import limits
from stream.storage.view import view

AHEAD_MS = 5_000  # a record stamped later than our clock by more shows that clocks differ
OLD_S = 60  # an uncommitted event that is older is worth a warning
_FETCH_WAIT_S = 0.3
_TIMEOUT_S = 5.0
_FETCH_API = 1  # its version grows with every Kafka
_KAFKA_OF_FETCH = {18: "4.1", 17: "3.9", 16: "3.7", 15: "3.5", 13: "3.1", 12: "2.7", 11: "2.3"}


async def check_broker(settings: KafkaSettings) -> AsyncIterator[Check]:
    """Every check that writes nothing; the broker comes first, since the rest needs it."""
    try:
        findings = await check_topics(settings)
    except LatelyError as error:
        found, _, fix = str(error).partition("; ")
        yield Check("FAIL", "broker", found, fix)
        yield Check("SKIP", "topics", "topics, access, clock and group need a broker")
        return
    if exists(settings.events_topic, findings):
        findings.append(await check_recent_keys(settings))
    yield await _check_version(settings)
    for check in assess_topics(findings):
        yield check
    existing = [f.topic for f in findings if f.check == "exists" and f.status == "PASS"]
    consumer = LenientConsumer(
        **client_options(settings), enable_auto_commit=False, isolation_level="read_committed"
    )
    try:
        await consumer.start()
        yield await _check_reading(consumer, settings, existing)
        yield Check("SKIP", "access", "writing is not tested: it would leave a record")
        if settings.events_topic in existing:
            partitions = list(await partitions_of(consumer, settings.events_topic))
            yield assess_open_files(len(partitions), limits())
            yield await _check_clock(consumer, settings.events_topic)
            async for check in _check_group(consumer, settings):
                yield check
    except KafkaError as error:
        yield Check("FAIL", "broker", f"broke off ({error!r})", "see its log, and try again")
    finally:
        await consumer.stop()


async def check_states(settings: DoctorSettings) -> Check:
    """Whether the offsets in the states on disk are of the events topic that there is now."""
    if settings.state_dir is None:
        return Check("SKIP", "states", "not checked: give --state-dir")
    try:
        async with LogReader(settings) as reader:
            source = await reader.read(settings.events_topic)
        ids = {
            folder.name: _source_id(folder)
            for folder in sorted((settings.state_dir / settings.group).glob("partition-*"))
        }
    except (KafkaError, StateError) as error:
        return Check("SKIP", "states", f"cannot be compared ({error})")
    known = {name: state_id for name, state_id in ids.items() if state_id is not None}
    if source is None or source.id is None or not known:
        return Check("SKIP", "states", "no state here says which topic its offsets are of")
    other = [name for name, state_id in known.items() if state_id != source.id]
    if other:
        found = (
            f"{', '.join(other)}: the offsets are of another {settings.events_topic}, made anew "
            "since"
        )
        return Check("FAIL", "states", found, start_over(settings))
    return Check("PASS", "states", f"the offsets in {len(known)} partitions are of this topic")


def _source_id(partition: Path) -> str | None:
    with view(partition) as state:
        return state.source_id()


async def _check_version(settings: KafkaSettings) -> Check:
    try:
        versions = await api_versions(settings)
    except KafkaError as error:
        return Check(
            "WARN", "broker", f"does not report its API versions ({error!r})", "see its log"
        )
    return Check("PASS", "broker", f"{settings.bootstrap} answers; {kafka_of(versions)}")


def kafka_of(highest: Mapping[int, int]) -> str:
    """The Kafka version, as its highest API versions show; a broker does not report it."""
    fetch = highest.get(_FETCH_API, 0)
    known = max((version for version in _KAFKA_OF_FETCH if version <= fetch), default=0)
    name = f"Kafka {_KAFKA_OF_FETCH[known]} or later" if known else "an old Kafka"
    return f"by its APIs {name} ({len(highest)} APIs, Fetch up to version {fetch})"


def assess_topics(findings: Iterable[Finding]) -> list[Check]:
    """The findings on topics: one line for those that pass, and one for each other.

    Whose the scores topic is has a line of its own.
    """
    found = list(findings)
    owned = [f for f in found if f.check == "owner" and f.status == "PASS"]
    passed = sum(f.status == "PASS" for f in found)
    return [
        Check(
            "PASS",
            "topics",
            f"{passed} checks of partitions, compaction, sizes, keys and offsets pass",
        ),
        *(Check("PASS", "owner", f"{f.topic} is written by {f.found}") for f in owned),
        *(
            Check(f.status, "topics", f"{f.topic}: {f.check}: {f.found}, not {f.expected}", f.fix)
            for f in found
            if f.status != "PASS"
        ),
    ]


async def _check_reading(
    consumer: AIOKafkaConsumer, settings: KafkaSettings, topics: Sequence[str]
) -> Check:
    denied = [topic for topic in topics if not await _can_read(consumer, topic)]
    if not denied:
        return Check("PASS", "access", f"can read {', '.join(topics)}")
    needed = {settings.events_topic, settings.changelog_topic}  # only commands read the others
    status: Status = "FAIL" if needed & set(denied) else "WARN"
    found = f"may not read {', '.join(denied)}"
    return Check(status, "access", found, "grant Read on it to this user (`kafka-acls.sh`)")


async def _can_read(consumer: AIOKafkaConsumer, topic: str) -> bool:
    first = TopicPartition(topic, 0)
    consumer.assign([first])
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await consumer.seek_to_beginning(first)
            await consumer.getmany(first, timeout_ms=int(_FETCH_WAIT_S * 1000))
    except (TopicAuthorizationFailedError, TimeoutError):
        return False
    return True


async def _check_clock(consumer: AIOKafkaConsumer, topic: str) -> Check:
    """Kafka does not report its time, but a record from our future shows that clocks differ."""
    now_ms = time.time_ns() // 1_000_000
    partitions = [TopicPartition(topic, p) for p in await partitions_of(consumer, topic)]
    later = await consumer.offsets_for_times(dict.fromkeys(partitions, now_ms + AHEAD_MS))
    # The embedded broker answers with what is not ahead: with records of no time, or any.
    ahead_ms = max((found.timestamp - now_ms for found in later.values() if found), default=0)
    if ahead_ms >= AHEAD_MS:
        found = f"records of {topic} are stamped {ahead_ms / 1000:,.0f} s ahead of this clock"
        return Check("WARN", "clock", found, "set this clock, or the producers', by NTP")
    return Check(
        "SKIP",
        "clock",
        f"Kafka does not report its time; no record of {topic} is ahead of this clock",
    )


async def _check_group(consumer: AIOKafkaConsumer, settings: KafkaSettings) -> AsyncIterator[Check]:
    admin = AIOKafkaAdminClient(**client_options(settings))
    try:
        await admin.start()
        described = await admin.describe_consumer_groups([settings.group])
        offsets = await admin.list_consumer_group_offsets(settings.group)
    except GroupCoordinatorNotAvailableError:  # no group has ever joined this broker
        described, offsets = [], {}
    except KafkaError as error:
        grant = "grant Read and Describe on it to this user (`kafka-acls.sh`)"
        yield Check("FAIL", "group", f"may not describe {settings.group} ({error!r})", grant)
        return
    finally:
        await admin.close()
    yield assess_group(settings.group, [g for answer in described for g in answer.groups])
    committed = {
        tp.partition: found.offset
        for tp, found in offsets.items()
        if tp.topic == settings.events_topic and found.offset >= 0
    }
    yield await _check_lag(consumer, settings.events_topic, committed)


def assess_group(name: str, groups: Sequence[Sequence[Any]]) -> Check:
    """Whether the group has members; a description is (error, id, state, …, members, …)."""
    members = len(groups[0][5]) if groups else 0
    state = groups[0][2] if groups else "unknown"
    if not members:
        return Check("WARN", "group", f"{name} has no member", "start a worker")
    found = f"{name} is {state}, with {counted(members, 'member')}"
    if state != "Stable":
        return Check("WARN", "group", found, "wait until it is stable, and check again")
    return Check("PASS", "group", found)


async def _check_lag(consumer: AIOKafkaConsumer, topic: str, committed: Mapping[int, int]) -> Check:
    """How many events are not committed, and how old they are."""
    partitions = [TopicPartition(topic, p) for p in await partitions_of(consumer, topic)]
    ends = await consumer.end_offsets(partitions)
    starts = await consumer.beginning_offsets(partitions)
    # Kafka does not report when a commit was made; the first event after it shows its age.
    uncommitted = {
        tp: max(committed.get(tp.partition, 0), starts[tp])
        for tp in partitions
        if max(committed.get(tp.partition, 0), starts[tp]) < ends[tp]
    }
    firsts = await _first_timestamps_ms(consumer, uncommitted, ends) if uncommitted else {}
    uncommitted = {tp: offset for tp, offset in uncommitted.items() if tp in firsts}
    if not uncommitted:
        return Check("PASS", "lag", "every event is committed")
    events = sum(ends[tp] - offset for tp, offset in uncommitted.items())
    known_ms = [first_ms for first_ms in firsts.values() if first_ms is not None]
    now_ms = time.time_ns() // 1_000_000
    age_s = max(0, now_ms - min(known_ms)) // 1000 if known_ms else None
    return assess_lag(events, len(uncommitted), age_s)


async def _first_timestamps_ms(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int | None]:
    """The timestamp of the first record at or after each offset.

    None if it cannot be read, or has none. A partition without such a record is left out: after
    the last record of a transaction there is only its end marker.
    """
    consumer.assign(list(starts))
    for tp, offset in starts.items():
        consumer.seek(tp, offset)
    firsts: dict[TopicPartition, int | None] = {}
    unread = set(starts)
    with suppress(TimeoutError, TopicAuthorizationFailedError):
        async with asyncio.timeout(_TIMEOUT_S):
            while unread:
                fetched = await consumer.getmany(timeout_ms=200, max_records=100)
                for tp, records in fetched.items():
                    first_ms = records[0].timestamp
                    firsts.setdefault(tp, first_ms if first_ms >= 0 else None)
                    consumer.pause(tp)
                unread -= firsts.keys()
                unread -= {tp for tp in unread if await consumer.position(tp) >= ends[tp]}
    return dict.fromkeys(unread) | firsts


def assess_lag(events: int, partitions: int, age_s: int | None) -> Check:
    """Whether the uncommitted events are too old, or of unknown age."""
    age = "of unknown age" if age_s is None else f"the oldest {age_s:,} s old"
    verb = "is" if events == 1 else "are"
    where = f"{counted(events, 'event')} in {counted(partitions, 'partition')}"
    found = f"{where} {verb} not committed, {age}"
    if age_s is not None and age_s <= OLD_S:
        return Check("PASS", "lag", found)
    return Check("WARN", "lag", found, "start a worker, or see why it is lagging (/readyz)")
