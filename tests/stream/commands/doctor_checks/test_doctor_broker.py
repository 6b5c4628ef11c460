"""The broker checks of `lately doctor`: access, clock, group and lag."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from stream.commands.doctor_checks import doctor_broker
from stream.commands.doctor_checks.doctor_machine import Check
from stream.kafka import protocol
from stream.kafka.topic_checks import Finding
from stream.settings import KafkaSettings
from tests.stream.commands.shop import Shop

NOW_MS = 1_790_000_000_000
EVENTS = "lately.events"
STABLE = [(0, "lately", "Stable", "consumer", "", ["one"])]


class Log:
    """A partition: offset and age in seconds of each record, start and end offset."""

    def __init__(self, *records: tuple[int, float], start: int = 0, end: int | None = None) -> None:
        self.records = [(offset, NOW_MS - int(age_s * 1000)) for offset, age_s in records]
        self.start = start
        self.end = (records[-1][0] + 1 if records else start) if end is None else end


class Broker:
    """A fake broker; ``denied`` are topics that we may not read."""

    def __init__(
        self,
        *logs: Log,
        committed: Mapping[tuple[str, int], int] | None = None,
        groups: Sequence[Any] = STABLE,
        denied: Sequence[str] = (),
        group_error: KafkaError | None = None,
        version_error: KafkaError | None = None,
        read_error: KafkaError | None = None,
    ) -> None:
        self.logs = logs or (Log(),)
        self.committed = committed or {}
        self.groups, self.denied = groups, denied
        self.group_error, self.version_error = group_error, version_error
        self.read_error = read_error
        self.open_clients = 0


class Client:
    """Counts the clients that were created and not yet stopped."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        broker.open_clients += 1

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        self._broker.open_clients -= 1


class Consumer(Client):
    """The part of aiokafka's consumer that the doctor uses."""

    def __init__(self, broker: Broker) -> None:
        super().__init__(broker)
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()

    def _log(self, tp: TopicPartition) -> Log:
        log: Log = self._broker.logs[tp.partition]
        return log

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions = {tp: self._log(tp).start for tp in partitions}

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    async def seek_to_beginning(self, tp: TopicPartition) -> None:
        self.seek(tp, self._log(tp).start)

    def pause(self, tp: TopicPartition) -> None:
        self._paused.add(tp)

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(len(self._broker.logs)))

    async def getmany(self, *partitions: TopicPartition, **limits: int) -> dict[Any, Any]:
        """One record of each partition; gaps and the end may be transaction markers."""
        await asyncio.sleep(0)
        if self._broker.read_error:
            raise self._broker.read_error
        fetched = {}
        for tp in set(partitions or self._positions) - self._paused:
            if tp.topic in self._broker.denied:
                raise TopicAuthorizationFailedError(tp.topic)
            log, position = self._log(tp), self._positions[tp]
            left = [record for record in log.records if record[0] >= position]
            self._positions[tp] = left[0][0] + 1 if left else log.end
            if left:
                fetched[tp] = [SimpleNamespace(offset=left[0][0], timestamp=left[0][1])]
        return fetched

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[Any, int]:
        return {tp: self._log(tp).start for tp in partitions}

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[Any, int]:
        return {tp: self._log(tp).end for tp in partitions}

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[Any, Any]:
        """The first record at or after each time."""
        found: dict[TopicPartition, Any] = {}
        for tp, asked_ms in times.items():
            later = [at_ms for _, at_ms in self._log(tp).records if at_ms >= asked_ms]
            found[tp] = SimpleNamespace(timestamp=later[0]) if later else None
        return found


class Producer(Client):
    """Reports a broker's API versions: Fetch, which is API 1, up to 17."""

    @property
    def client(self) -> Any:
        async def send(node: int, request: object) -> Any:
            if self._broker.version_error:
                raise self._broker.version_error
            return SimpleNamespace(api_versions=[(0, 0, 9), (1, 0, 17)])

        return SimpleNamespace(get_random_node=lambda: 0, send=send)


class Admin(Client):
    """Describes the group."""

    async def close(self) -> None:
        await self.stop()

    async def describe_consumer_groups(self, names: Sequence[str]) -> list[Any]:
        assert names == ["lately"]
        if self._broker.group_error:
            raise self._broker.group_error
        return [SimpleNamespace(groups=self._broker.groups)]

    async def list_consumer_group_offsets(self, name: str) -> dict[Any, Any]:
        return {
            TopicPartition(*place): SimpleNamespace(offset=offset)
            for place, offset in self._broker.committed.items()
        }


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs the broker checks, and returns them by what they check."""

    def run(broker: Broker, missing: Sequence[str] = ()) -> dict[str, list[Check]]:
        settings = KafkaSettings()
        names = [settings.events_topic, settings.scores_topic, settings.changelog_topic]

        async def check_topics(settings: KafkaSettings) -> list[Finding]:
            return [
                Finding("FAIL" if name in missing else "PASS", name, "exists", "", "a topic")
                for name in names
            ]

        async def checks() -> list[Check]:
            return [check async for check in doctor_broker.check_broker(settings)]

        monkeypatch.setattr(time, "time_ns", lambda: NOW_MS * 1_000_000)
        monkeypatch.setattr(doctor_broker, "check_topics", check_topics)
        monkeypatch.setattr(doctor_broker, "LenientConsumer", lambda **options: Consumer(broker))
        monkeypatch.setattr(protocol, "AIOKafkaProducer", lambda **options: Producer(broker))
        monkeypatch.setattr(doctor_broker, "AIOKafkaAdminClient", lambda **options: Admin(broker))
        found: dict[str, list[Check]] = {}
        for check in asyncio.run(checks()):
            found.setdefault(check.what, []).append(check)
        assert broker.open_clients == 0  # every client is closed, whatever was found
        return found

    return run


def lag(found: dict[str, list[Check]]) -> tuple[str, str]:
    (check,) = found["lag"]
    return check.status, check.found


# --- lag -----------------------------------------------------------------------------------------


def test_lag_is_the_sum_over_partitions_with_the_age_of_the_oldest_event(look: Any) -> None:
    broker = Broker(
        Log((7, 50), (8, 20), (9, 10)),
        Log((3, 30), (4, 25)),
        Log((0, 500)),
        committed={(EVENTS, 0): 8, (EVENTS, 1): 3, (EVENTS, 2): 1},
    )

    # Uncommitted: 8 and 9 of partition 0, both of partition 1, none of partition 2.
    assert lag(look(broker)) == (
        "PASS",
        "4 events in 2 partitions are not committed, the oldest 30 s old",
    )


def test_lag_older_than_a_minute_is_a_warning(look: Any) -> None:
    broker = Broker(Log((0, 61)), committed={(EVENTS, 0): 0})

    assert lag(look(broker)) == (
        "WARN",
        "1 event in 1 partition is not committed, the oldest 61 s old",
    )


@pytest.mark.parametrize("committed", [{}, {(EVENTS, 0): 2}, {(EVENTS, 0): -1}])
def test_lag_without_a_valid_commit_counts_from_the_start_of_the_log(
    look: Any, committed: dict[tuple[str, int], int]
) -> None:
    broker = Broker(Log((5, 9), (6, 8), start=5), committed=committed)

    assert lag(look(broker))[1].startswith("2 events in 1 partition are")


def test_lag_ignores_commits_of_other_topics(look: Any) -> None:
    broker = Broker(Log((0, 9)), committed={("other", 0): 1})

    assert lag(look(broker))[1].startswith("1 event in 1 partition is")


@pytest.mark.parametrize(
    "log",
    [
        Log((0, 99)),
        Log(),
        Log((0, 99), end=2),  # the end marker of its transaction follows
    ],
)
def test_lag_is_zero_when_every_event_is_committed(look: Any, log: Log) -> None:
    broker = Broker(log, committed={(EVENTS, 0): 1} if log.records else {})

    assert lag(look(broker)) == ("PASS", "every event is committed")


def test_lag_age_of_a_future_event_is_zero(look: Any) -> None:
    broker = Broker(Log((0, -3)), committed={(EVENTS, 0): 0})

    assert lag(look(broker))[1].endswith("the oldest 0 s old")


def test_lag_age_of_an_event_without_a_timestamp_is_unknown(look: Any) -> None:
    log = Log((0, 0))
    log.records = [(0, -1)]

    assert lag(look(Broker(log, committed={(EVENTS, 0): 0})))[1].endswith("of unknown age")


# --- the group -----------------------------------------------------------------------------------


def test_group_without_a_coordinator_has_no_members_and_full_lag(look: Any) -> None:
    found = look(Broker(Log((0, 9)), group_error=GroupCoordinatorNotAvailableError()))

    assert found["group"] == [
        Check("WARN", "group", "lately has no member", "start a worker"),
    ]
    assert lag(found)[1].startswith("1 event in")


def test_group_that_we_may_not_describe_fails_with_the_rights_to_grant(look: Any) -> None:
    found = look(Broker(group_error=GroupAuthorizationFailedError("lately")))

    (check,) = found["group"]
    assert check.status == "FAIL" and "Describe" in check.fix
    assert "lag" not in found


def test_stable_group_passes_with_its_member_count(look: Any) -> None:
    (check,) = look(Broker())["group"]

    assert (check.status, check.found) == ("PASS", "lately is Stable, with 1 member")


# --- the clock -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead_s", "status", "words"),
    [
        (7, "WARN", "stamped 7 s ahead of this clock"),
        (4, "SKIP", "no record of lately.events is ahead"),  # within the tolerance
        (-60, "SKIP", "no record of lately.events is ahead"),
        # As the embedded broker answers: with a record from before the time that was asked for.
        (-1_800_000_000, "SKIP", "no record of lately.events is ahead"),
    ],
)
def test_record_stamped_in_the_future_is_a_clock_warning(
    look: Any, ahead_s: int, status: str, words: str
) -> None:
    broker = Broker(Log((0, 60), (1, 50)), Log((0, 60), (1, -ahead_s)))

    (check,) = look(broker)["clock"]

    assert (check.status, words in check.found) == (status, True)


# --- access --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("denied", "status", "words"),
    [
        ((), "PASS", "can read lately.events, lately.scores, lately-state-changelog"),
        (("lately.scores",), "WARN", "may not read lately.scores"),  # only our commands read it
        (("lately-state-changelog",), "FAIL", "may not read lately-state-changelog"),
        ((EVENTS, "lately.scores"), "FAIL", "may not read lately.events, lately.scores"),
    ],
)
def test_denied_read_access_fails_only_for_topics_that_the_worker_reads(
    look: Any, denied: tuple[str, ...], status: str, words: str
) -> None:
    reading, writing = look(Broker(denied=denied))["access"]

    assert (reading.status, reading.found) == (status, words)
    assert writing.status == "SKIP"


def test_clock_group_and_lag_are_not_checked_without_an_events_topic(look: Any) -> None:
    found = look(Broker(), missing=[EVENTS])

    assert found["access"][0].found == "can read lately.scores, lately-state-changelog"
    assert not {"clock", "group", "lag"} & set(found)


# --- the broker ----------------------------------------------------------------------------------


def test_unknown_broker_version_is_a_warning_and_other_checks_still_run(
    look: Any,
) -> None:
    found = look(Broker(version_error=KafkaConnectionError("closed")))

    assert [check.status for check in found["broker"]] == ["WARN"]
    assert {"topics", "access", "clock", "group", "lag"} <= set(found)


def test_connection_lost_during_the_checks_is_a_failure(look: Any) -> None:
    version, broken = look(Broker(read_error=KafkaConnectionError("closed")))["broker"]

    assert (version.status, broken.status) == ("PASS", "FAIL")
    assert "broke off" in broken.found


def test_embedded_broker_passes_all_checks_except_that_of_the_group(
    shop: Shop,
) -> None:
    shop.create()

    result = shop.lately("doctor", "--json", "--http", "127.0.0.1:0")

    checks = result.json["checks"]
    status = [(check["what"], check["status"]) for check in checks]
    assert (result.code, result.json["fit"]) == (1, False)
    assert ("broker", "PASS") in status and ("group", "FAIL") in status
    (topics,) = (c for c in checks if (c["what"], c["status"]) == ("topics", "PASS"))
    # Five topics exist, two have the events' partitions; the broker reports no configuration.
    # Nobody has committed anything, of events or states, has written a score, or is in the group.
    assert topics["found"].startswith("11 checks")
    (owner,) = (c for c in checks if c["what"] == "owner")
    assert owner["found"] == f"{shop.settings.scores_topic} is written by nobody"


def test_missing_topic_fails_with_its_fix_and_is_not_read(shop: Shop) -> None:
    settings = shop.settings
    shop.create(settings.events_topic, settings.dead_topic, settings.receipts_topic)

    result = shop.lately("doctor", "--http", "127.0.0.1:0")

    lines = result.out.splitlines()
    (missing,) = (line for line in lines if line.startswith("FAIL  topics"))
    assert settings.scores_topic in missing and "lately topics --create" in missing
    (access,) = (line for line in lines if "can read" in line)
    assert settings.scores_topic not in access
