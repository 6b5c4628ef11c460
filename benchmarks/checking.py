"""Checks a run: every event has its output, and every user the state that the log makes."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.events import Record
from benchmarks.peers.compact import Action
from benchmarks.workloads import States

READ_TIMEOUT_MS = 2_000
Offsets = Mapping[TopicPartition, int]


class WrongError(Exception):
    """An engine did not do the job; says what is missing."""


class Changelog(NamedTuple):
    """Where an engine keeps its states: the topic of a group and its source, and its records."""

    topic: Callable[[str, str], str]
    decode: Callable[[bytes, bytes], tuple[str, list[Action]]]


class Ends(NamedTuple):
    """The ends of an engine's topics when the clock started."""

    outputs: Offsets
    changelog: Offsets


async def check_outputs(
    bootstrap: str, since: Offsets, measured: Iterable[Record], *, merges: bool
) -> None:
    """Every measured event has one output; if scores merge, every user has one of the last event.

    An output names its user and the time of the event, and no two events have the same.
    """
    wanted = [(key.decode(), _time_of(orjson.loads(value))) for key, value in measured]
    found = Counter([_named(value) async for _, value in _read(bootstrap, since)])
    if merges:
        wanted = list(dict(wanted).items())  # the last of each user
    else:
        several = sum(found.values()) - len(found)
        if several or found.total() != len(wanted):
            raise WrongError(f"{found.total()} outputs, {several} twice, of {len(wanted)} events")
    missing = [event for event in wanted if event not in found]
    if missing:
        raise WrongError(f"{len(missing)} events have no output, {missing[0]} among them")


async def check_changelog(
    bootstrap: str, since: Offsets, changelog: Changelog, wanted: States
) -> None:
    """The last state of each user in the changelog is the one that the log makes."""
    last = {key: value async for key, value in _read(bootstrap, since)}
    check_states(dict(changelog.decode(*pair) for pair in last.items()), wanted)


def check_states(found: States, wanted: States) -> None:
    """Compare the states of the users that are wanted; raises WrongError."""
    wrong = [user for user, actions in wanted.items() if found.get(user) != actions]
    if wrong:
        user = wrong[0]
        raise WrongError(
            f"{len(wrong)} of {len(wanted)} users have another state; {user} has "
            f"{found.get(user)}, and {wanted[user]} is expected"
        )


def _named(value: bytes) -> tuple[str, int]:
    output = orjson.loads(value)
    return output["user_id"], _time_of(output)


def _time_of(value: Mapping[str, Any]) -> int:
    return int(value.get("as_of", value)["ts"])


async def _read(bootstrap: str, since: Offsets) -> AsyncIterator[tuple[bytes, bytes]]:
    """Keys and values from these offsets to the ends."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=8 << 20
    )
    await consumer.start()
    try:
        consumer.assign(list(since))
        ends = await consumer.end_offsets(list(since))
        for partition, offset in since.items():
            consumer.seek(partition, offset)
        while any([await consumer.position(p) < end for p, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=READ_TIMEOUT_MS)).values():
                for record in records:
                    if record.value is not None:
                        yield record.key, record.value
    finally:
        await consumer.stop()
