"""The command `lately export`, in one process with a broker: what it writes, says and refuses."""

import json
from pathlib import Path

import pytest

from model.artifact.manifest import Manifest
from model.config import ArtifactConfig
from model.data.log import EventLog
from stream.commands.event_log import ReplayLog
from tests.stream.commands.shop import Record, Shop

NOW_MS = 1_790_000_000_000


def event(user: str, number: int, **fields: object) -> Record:
    body = {"user_id": user, "item_id": f"i{number}", "action": "click", "ts": NOW_MS + number}
    return Record(user.encode(), json.dumps(body | fields).encode(), 0, NOW_MS + number)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_a_log_is_written_and_what_was_left_out_is_said(shop: Shop, out: Path) -> None:
    shop.create()
    shop.write(
        shop.settings.events_topic,
        event("ann", 1),
        event("bob", 2, action="forget"),
        event("bob", 3, action="buy", price=9.5, category="shoes"),
        event("ann", 4, action="look"),
        event("eve", 5),
        event("eve", 6, action="forget"),
        event("ann", -7_200_000),  # two hours before her first
    )
    done = shop.lately("export", "--since", "2020-01-01", "--out", str(out))

    assert done.code == 0, done.err
    assert done.out == (
        f"wrote 2 events of {shop.settings.events_topic} to {out}; event time "
        "2026-09-21T14:13:20.001+00:00 to 2026-09-21T14:13:20.003+00:00\n"
        "left out: 1 late, 1 invalid, 1 forgotten\n"
    )
    log = EventLog.open([out / "events-00000.jsonl"])
    assert log.frame.select(
        "user_id", "item_id", "action", "ts", "price", "category"
    ).collect().rows() == [
        ("ann", "i1", "click", NOW_MS + 1, None, None),
        ("bob", "i3", "buy", NOW_MS + 3, 9.5, "shoes"),
    ]
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["dead"] == {"unknown_action": 1}
    assert manifest["offsets"]["0"] == {"from": 0, "to": 7}
    assert manifest["until"] is None


def test_an_action_that_a_worker_is_told_to_accept_is_exported(shop: Shop, out: Path) -> None:
    shop.create()
    shop.write(shop.settings.events_topic, event("ann", 1, action="look"))
    options = ("--since", "2020-01-01", "--out", str(out), "--actions", "look,buy", "--json")
    done = shop.lately("export", *options)

    assert done.json["events"] == 1


def test_the_actions_of_the_named_model_are_exported(shop: Shop, out: Path) -> None:
    config = ArtifactConfig(actions=("look",), intents=())
    manifest = Manifest(config, 1, 1, {}, "2026-01-01T00:00:00Z", {}, {})
    model = out.parent / "model"
    model.mkdir()
    (model / "manifest.json").write_bytes(manifest.to_bytes())
    shop.create()
    shop.write(shop.settings.events_topic, event("ann", 1, action="look"), event("bob", 2))
    options = ("--since", "2020-01-01", "--out", str(out), "--artifact", str(model), "--json")
    done = shop.lately("export", *options)

    assert (done.json["events"], done.json["dead"]) == (1, {"unknown_action": 1})


def test_an_event_of_before_1973_is_written_as_training_reads_it(shop: Shop, out: Path) -> None:
    shop.create()
    shop.write(
        shop.settings.events_topic,
        event("ann", 1, ts="1970-01-01T00:00:00.007Z"),
        event("bob", 2, ts=100_000_000_000),  # 3 March 1973: the first that may be a number
    )
    done = shop.lately("export", "--since", "1970-01-01", "--out", str(out))

    assert done.code == 0, done.err
    log = out / "events-00000.jsonl"
    times = {e["user_id"]: e["ts"] for e in map(json.loads, log.read_text().splitlines())}
    assert times == {"ann": "1970-01-01T00:00:00.007+00:00", "bob": 100_000_000_000}
    frame = EventLog.open([log]).frame.select("user_id", "ts").collect()
    assert dict(frame.rows()) == {"ann": 7, "bob": 100_000_000_000}
    assert {entry.user_id: entry.ts_ms for entry in ReplayLog.open([log]).entries()} == {
        "ann": 7,
        "bob": 100_000_000_000,
    }


def test_a_topic_without_an_event_for_the_log_leaves_no_folder(shop: Shop, out: Path) -> None:
    shop.create()
    shop.write(shop.settings.events_topic, event("ann", 1, action="look"))
    done = shop.lately("export", "--since", "2020-01-01", "--out", str(out))

    assert (done.code, done.out) == (1, "")
    assert "no event of this period is left for a log (1 invalid)" in done.err
    assert list(out.parent.iterdir()) == []


@pytest.mark.parametrize(
    "period",
    [
        ["--since", "2099-01-01"],  # to come
        ["--since", "1s"],
        ["--since", "2020-01-01", "--until", "2020-01-02"],  # before there was anything
    ],
)
def test_a_period_without_events_leaves_no_folder_and_is_one_line(
    shop: Shop, out: Path, period: list[str]
) -> None:
    shop.create()
    shop.write(shop.settings.events_topic, event("ann", 1))
    done = shop.lately("export", *period, "--out", str(out))

    assert (done.code, done.out) == (1, "")
    assert "no event of this period is left for a log" in done.err
    assert len(done.err.splitlines()) == 1
    assert list(out.parent.iterdir()) == []


def test_a_folder_that_is_there_is_refused(shop: Shop, out: Path) -> None:
    out.mkdir()
    done = shop.lately("export", "--since", "30d", "--out", str(out))

    assert (done.code, done.out) == (2, "")
    assert f"--out: {out} exists; name a folder that does not" in done.err


def test_a_folder_in_no_folder_is_refused_in_one_line(shop: Shop, out: Path) -> None:
    done = shop.lately("export", "--since", "30d", "--out", str(out / "deeper"))

    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    assert "make its parent folder" in done.err
