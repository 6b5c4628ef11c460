"""The operator's commands on a real Kafka, beside a worker and after it."""

import json
import shutil
import subprocess
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.kafka.broker import ROOT
from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.stage import Stage
from tests.kafka.worker import LATELY, environment
from tests.oracle.answers import Answers
from tests.oracle.hashing import partition_of
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

RUN_S = 90.0
NOW_MS = 1_700_000_000_000


class Said(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, for programs."""
        return json.loads(self.out)


def lately(stage: Stage, *words: str, **settings: str) -> Said:
    """Run a command with the settings of the stage's worker."""
    said = {"bootstrap": stage.client.bootstrap, **stage.settings, **settings}
    done = subprocess.run(
        [LATELY, *words],
        env={**environment(said), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def click(user: str, n: int = 0, **fields: Any) -> Message:
    body = {"user_id": user, "item_id": f"i{n}", "action": "click", "ts": NOW_MS + n, **fields}
    partition = partition_of(user.encode(), 4)
    return Message(partition, NOW_MS + n, user.encode(), json.dumps(body).encode())


def fnv_1a(key: bytes) -> int:
    """As sarama hashes a key."""
    found = 0x811C9DC5
    for byte in key:
        found = (found ^ byte) * 0x01000193 % 2**32
    return found


# In which of four partitions other clients put the nth event of a user.
PLACES: tuple[Callable[[str, int], int], ...] = (
    lambda user, n: zlib.crc32(user.encode()) % 4,  # librdkafka
    lambda user, n: fnv_1a(user.encode()) % 4,  # sarama
    lambda user, n: partition_of(f'"{user}"'.encode(), 4),  # a key that was JSON as it was hashed
    lambda user, n: (len(user) + n) % 4,  # round robin, and a sticky one without keys
)


def assert_nothing_differs(stage: Stage, answers: Answers) -> None:
    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)


def test_who_is_forgotten_by_command_is_gone_with_a_receipt(
    open_stage: OpenStage, answers: Answers
) -> None:
    stage = open_stage()
    # A shop with several producers: ours, and others that place the three clicks otherwise.
    others = {
        f"shopper{n}": [PLACES[n % len(PLACES)](f"shopper{n}", k) for k in range(3)]
        for n in range(12)
    }
    clicks = [click(user, n) for user in ("ann", "bob", "zoe") for n in range(3)]
    clicks += [
        click(user, n)._replace(partition=place)
        for user, places in others.items()
        for n, place in enumerate(places)
    ]
    home = partition_of(b"zoe", 4)
    end = sum(message.partition == home for message in clicks)
    stage.feed(clicks)
    sent = lately(stage, "forget", "zoe", "--timeout-s", "1")
    # No worker runs: the command says so and ends, and the events stay for whoever comes.
    assert (sent.code, sent.out) == (1, f"user 1: sent, event {home}-{end} and 3 more\n")
    assert sent.err.count("\n") == 1 and "4 of 4 receipts did not come" in sent.err
    assert "zoe" not in sent.err

    worker = stage.start().wait_ready()
    file = stage.folder / "users"
    file.write_bytes(b"\xef\xbb\xbfbob\r\nnobody-knows-me\r\n" + "\r\n".join(others).encode())
    done = lately(stage, "forget", "ann", "--file", str(file), "--json", "--timeout-s", "60")

    assert done.code == 0, done.err
    forgets = done.json["forgets"]
    assert [wish["user"] for wish in forgets] == list(range(1, 16))
    assert not [name for name in ("ann", "bob", "nobody", "shopper") if name in done.out]
    events = [[wish, *wish["others"]] for wish in forgets]
    removed = [sorted(e["partition"] for e in found if e["removed"]) for found in events]
    by_murmur2 = [[partition_of(user, 4)] for user in (b"ann", b"bob")]
    assert removed == [*by_murmur2, [], *(sorted(set(places)) for places in others.values())]
    last = {(score.key, score.partition): score.value for score in stage.client.read(stage.scores)}
    assert {key for key, _ in last} >= {user.encode() for user in ("ann", "bob", "zoe", *others)}
    assert set(last.values()) == {None}  # nobody has a score in any partition
    stage.wait_quiet()
    keys = {record.key for record in stage.client.read(stage.receipts)}
    assert {f"{e['partition']}-{e['offset']}".encode() for found in events for e in found} < keys
    assert "placed by another partitioner" in lately(stage, "topics").out
    worker.stop()
    assert_nothing_differs(stage, answers)  # O9: a receipt for each, that of zoe as well


def test_letters_are_counted_shown_and_sent_back_to_where_they_came_from(
    open_stage: OpenStage,
) -> None:
    stage = open_stage()
    view = click("ann", action="view", event_id="e1")
    view = view._replace(headers=(("trace", b"\xff"), ("lately.reason", b"of the producer")))
    home = view.partition
    stage.feed([view, Message(1, NOW_MS, b"\xfe", b"\xff\x1b[31m"), Message(2, NOW_MS, None, None)])
    worker = stage.start().wait_ready()
    stage.wait_committed()

    counted = lately(stage, "dead", "list", "--json").json
    assert counted["reasons"] == {"unknown_action": 1, "not_utf8": 1, "not_json": 1}
    (row,) = lately(stage, "dead", "list", "--reason", "unknown_action", "--json").json["newest"]
    place = f"{row['partition']}:{row['offset']}"
    assert row["size_bytes"] == len(view.key or b"") + len(view.value or b"")
    listed = lately(stage, "dead", "list")
    assert listed.out.startswith(f"3 dead letters in {stage.dead}\n") and "ann" not in listed.out

    shown = lately(stage, "dead", "show", place).out
    assert "reason     unknown_action" in shown and f"{stage.events} {home}:0" in shown
    assert "header     trace: \\xff" in shown and '"action": "view"' in shown
    (row,) = lately(stage, "dead", "list", "--reason", "not_utf8", "--json").json["newest"]
    shown = lately(stage, "dead", "show", f"{row['partition']}:{row['offset']}").out
    assert "value      \\xff\\x1b[31m" in shown and "\x1b" not in shown
    nowhere = lately(stage, "dead", "show", "0:999")
    assert nowhere.code == 1 and nowhere.err.count("\n") == 1

    ends = stage.client.ends(stage.events)
    dry = lately(stage, "dead", "replay", "--all", "--dry-run")
    assert dry.out.startswith(f"would replay 3 letters into {stage.events}")
    assert stage.client.ends(stage.events) == ends

    worker.stop()
    stage.start(actions="click,cart,buy,view").wait_ready()
    done = lately(stage, "dead", "replay", "--reason", "unknown_action", "--json").json
    assert (done["replayed"], done["skipped"]) == (1, 0)
    back = [r for r in stage.client.read(stage.events) if r.offset >= ends[r.partition]]
    assert [(r.partition, r.key, r.value) for r in back] == [(home, view.key, view.value)]
    assert back[0].headers == (*view.headers, ("lately.replayed", place.encode()))
    stage.wait_committed()
    assert len(stage.client.read(stage.scores)) == 1  # that action counts now

    # A letter that dies again is a letter of its own; of what it was replayed from, one is said.
    lately(stage, "dead", "replay", "--reason", "not_json")
    stage.wait_committed()
    assert lately(stage, "dead", "replay", "--reason", "not_json", "--json").json["replayed"] == 2
    last = max(stage.client.read(stage.events), key=lambda r: (r.partition == 2, r.offset))
    assert [name for name, _ in last.headers] == ["lately.replayed"]


def test_state_is_shown_verified_and_rebuilt(open_stage: OpenStage, load: MakeLoad) -> None:
    stage = open_stage()
    stage.feed(load(0, n_events=2000))
    stage.feed([click("ann", n) for n in range(3)])
    worker = stage.start().wait_ready()
    stage.wait_quiet()
    disk = str(worker.state_dir)

    seen = lately(stage, "state", "get", "ann", "--json", state_dir=disk)  # while it runs
    assert seen.code == 0, seen.err
    assert [event["item_id"] for event in seen.json["events"]] == ["i0", "i1", "i2"]
    assert (seen.json["partition"], seen.json["n_events"]) == (partition_of(b"ann", 4), 3)
    busy = lately(stage, "state", "verify", state_dir=disk)
    assert busy.code == 1 and "another worker uses it" in busy.err

    worker.stop()
    fits = lately(stage, "state", "verify", "--json", state_dir=disk)
    assert fits.code == 0, fits.out + fits.err
    rows = fits.json["partitions"]
    assert [row["partition"] for row in rows] == [0, 1, 2, 3]
    assert all(row["equal"] > 50 and row["offset"] + 1 == row["end"] for row in rows)

    # Another partition's folder in the place of ours: nobody is where they should be.
    folder = worker.state_dir / stage.group
    shutil.rmtree(folder / "partition-1")
    shutil.copytree(folder / "partition-0", folder / "partition-1")
    differs = lately(stage, "state", "verify", "--json", state_dir=disk)
    wrong = [row for row in differs.json["partitions"] if not row["fits"]]
    assert differs.code == 1 and [row["partition"] for row in wrong] == [1]
    assert wrong[0]["extra"] == rows[0]["equal"]

    untouched = {p: p.stat().st_mtime_ns for p in (folder / "partition-0").glob("*.sst")}
    rebuilt = lately(stage, "state", "rebuild", "-p", "1", "--json", state_dir=disk)
    assert rebuilt.code == 0, rebuilt.err
    assert rebuilt.json["partitions"][0]["users"] == rows[1]["equal"]
    assert {p: p.stat().st_mtime_ns for p in (folder / "partition-0").glob("*.sst")} == untouched
    assert lately(stage, "state", "verify", state_dir=disk).code == 0

    strange = lately(stage, "state", "rebuild", "-p", "7", state_dir=disk)
    assert strange.code == 1 and "has no partition 7" in strange.err
    assert lately(stage, "state", "verify", state_dir=disk).code == 0
    assert wait_until(stage.committed_all, 5.0)


def test_the_doctor_finds_nothing_wrong_beside_a_worker_and_names_what_is(
    open_stage: OpenStage,
) -> None:
    stage = open_stage()
    stage.feed([click("ann")])
    worker = stage.start().wait_ready()
    stage.wait_committed()
    here = {
        "artifact": str(stage.artifact),
        "state_dir": str(worker.state_dir),
        "http": worker.http,
    }

    well = lately(stage, "doctor", "--json", **here)
    found = {check["what"]: check for check in well.json["checks"] if check["status"] == "PASS"}
    assert well.code == 0, well.out
    assert {"broker", "topics", "access", "group", "lag", "artifact", "state", "http"} <= set(found)
    assert found["group"]["found"].endswith("with 1 member")
    assert "held" in found["lock"]["found"] and "is ready" in found["http"]["found"]

    worker.stop()
    stage.feed([click("ann", 1)])
    ill = lately(stage, "doctor", scores_topic=f"{stage.scores}.elsewhere")
    assert ill.code == 1
    assert "FAIL  topics" in ill.out and "lately topics --create" in ill.out
    assert "WARN  lag        1 event in 1 partition is not committed" in ill.out
