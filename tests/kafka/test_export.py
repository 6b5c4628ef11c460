"""`lately export` on a real Kafka: the log is what a worker keeps of the topic, by the oracle."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from model.data.log import EventLog
from tests.kafka.client import Client
from tests.kafka.conftest import MakeLoad
from tests.kafka.load import DAY_MS, START_MS
from tests.kafka.message import Message
from tests.kafka.shell import Shell
from tests.oracle.fold import State, fold
from tests.oracle.hashing import partition_of
from tests.oracle.ledger import clock_of
from tests.oracle.message import FORGET, Dead, read
from tests.oracle.record import Record
from tests.oracle.rules import DEFAULT_RULES

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

PARTITIONS = 4
N_EVENTS = 6_000
SINCE = "2023-10-01"  # before all of the load: it has late events, too


class Row(NamedTuple):
    """One line of the log."""

    user_id: str
    item_id: str
    action: str
    ts: int
    event_id: str | None
    price: float | None


@pytest.fixture
def topic(client: Client) -> Iterator[str]:
    name = f"export-{uuid.uuid4().hex[:8]}"
    client.create_topic(name, PARTITIONS, retention_ms="-1")
    yield name
    client.delete_topics(name)


def lately_export(client: Client, topic: str, folder: Path, options: str) -> dict[str, Any]:
    """Its summary, of a log in ``folder``."""
    settings = {"bootstrap": client.bootstrap, "events_topic": topic}
    said: dict[str, Any] = json.loads(
        Shell(folder.parent, settings).do(f"lately export --out {folder.name} --json {options}")
    )
    return said


def rows_of(folder: Path) -> list[Row]:
    lines = [line for p in sorted(folder.glob("*.jsonl")) for line in p.open(encoding="utf-8")]
    return [Row(*(json.loads(line).get(name) for name in Row._fields)) for line in lines]


def expected(records: Sequence[Record]) -> tuple[list[Row], Counter[str]]:
    """What a worker keeps of these records, without those whom a later forget erases."""
    states: dict[tuple[int, str], State | None] = {}
    rows: dict[str, list[Row]] = {}
    outcomes: Counter[str] = Counter()
    for record in records:
        try:
            event = read(record, PARTITIONS, DEFAULT_RULES)
        except Dead:
            outcomes["dead"] += 1
            continue
        place = record.partition, event.user_id
        own = rows.setdefault(event.user_id, [])
        states[place], outcome = fold(
            states.get(place), event, record.offset, clock_of(record), DEFAULT_RULES
        )
        if outcome == "forgotten":
            outcomes["forgotten"] += len(own)
            own.clear()
        elif outcome in ("late", "duplicate"):
            outcomes[outcome] += 1
        else:
            ts = record.timestamp_ms if outcome == "future" else event.ts
            price = json.loads(record.value or b"").get("price")
            own.append(Row(event.user_id, event.item_id, event.action, ts, event.event_id, price))
    return sorted((row for own in rows.values() for row in own), key=str), outcomes


def forget(user: str, offset_ms: int) -> list[Message]:
    """As `lately forget` sends them: one for each partition."""
    value = json.dumps({"user_id": user, "action": FORGET}).encode()
    return [
        Message(number, START_MS + 60 * DAY_MS + offset_ms, user.encode(), value)
        for number in range(PARTITIONS)
    ]


def test_the_log_is_what_a_worker_keeps_and_training_reads_it(
    client: Client, topic: str, load: MakeLoad, tmp_path: Path
) -> None:
    messages = load(3, n_events=N_EVENTS)
    client.produce(topic, messages)
    # Whoever asks in the end is not in the log, however much there was before.
    busiest = Counter(m.key for m in messages if m.key).most_common(3)
    erased = [key.decode() for key, _ in busiest if key]
    client.produce(topic, [m for n, user in enumerate(erased) for m in forget(user, n)])
    # What is not committed did not happen.
    ghost = messages[0]._replace(
        key=b"ghost",
        value=json.dumps(
            {"user_id": "ghost", "item_id": "i1", "action": "click", "ts": START_MS}
        ).encode(),
    )
    client.transact(topic, [ghost])(False)
    said = lately_export(client, topic, tmp_path / "log", f"--since {SINCE}")

    rows = rows_of(tmp_path / "log")
    wanted, outcomes = expected(client.read(topic))
    assert sorted(rows, key=str) == wanted
    assert not {row.user_id for row in rows} & {*erased, "ghost"}
    assert said["events"] == len(rows) > N_EVENTS / 2
    found = {name: said["left_out"][name] for name in ("late", "duplicate", "dead", "forgotten")}
    assert found == {name: outcomes[name] for name in found}
    assert min(found.values()) > 0  # the load has some of each
    assert sum(said["dead"].values()) == outcomes["dead"]
    ends = {str(n): {"from": 0, "to": end} for n, end in client.ends(topic).items()}
    assert said["offsets"] == ends
    manifest = json.loads((tmp_path / "log" / "manifest.json").read_text())
    assert manifest == said

    log = EventLog.open([tmp_path / "log" / name for name in manifest["files"]])
    assert (log.rows, log.forgotten) == (len(rows), 0)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_period_ends_and_a_forget_after_it_counts(
    client: Client, topic: str, tmp_path: Path
) -> None:
    def click(user: str, day: int) -> Message:
        ts = START_MS + day * DAY_MS
        body = {"user_id": user, "item_id": "i1", "action": "click", "ts": ts}
        key = user.encode()
        return Message(partition_of(key, PARTITIONS), ts, key, json.dumps(body).encode())

    days = range(6)
    client.produce(topic, [click(user, day) for day in days for user in ("ann", "bob", "eve")])
    client.produce(topic, forget("bob", 0))
    since, until = "2023-11-15T22:13:20Z", "2023-11-18T22:13:20Z"  # a day later, and three more
    said = lately_export(client, topic, tmp_path / "log", f"--since {since} --until {until}")

    found = sorted((row.user_id, row.ts) for row in rows_of(tmp_path / "log"))
    assert found == [(u, START_MS + day * DAY_MS) for u in ("ann", "eve") for day in (1, 2, 3)]
    # Not all of the topic was read: what is before the period lies before these offsets.
    home = str(partition_of(b"ann", PARTITIONS))
    assert said["offsets"][home]["from"] > 0
