"""`lately replay` against a broker: summary, shifted times and Ctrl-C."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.commands.event_log import Entry, ReplayLog
from tests.stream.commands.shop import Shop
from tests.stream.killed_command import has_ended_cleanly, lately

FIRST_MS = 1_600_000_000_000  # a Sunday in September 2020
HOUR_MS = 3_600_000


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three events: the first, another an hour later, and a forget event without a time."""
    events: list[dict[str, object]] = [
        {"user_id": "ann", "item_id": "i1", "action": "click", "ts": FIRST_MS},
        {"user_id": "ann", "item_id": "i2", "action": "buy", "ts": FIRST_MS + HOUR_MS},
        {"user_id": "ann", "action": "forget"},
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_summary_is_one_line_with_the_event_times(shop: Shop, log: Path) -> None:
    shop.create()

    result = shop.lately("replay", str(log), "--speed", "max")

    assert (result.code, result.out.count("\n")) == (0, 1)
    assert result.out.startswith(f"sent 3 events to {shop.settings.events_topic} in ")
    assert "event time 2020-09-13 12:26:40+00:00 to 2020-09-13 13:26:40+00:00" in result.out


def test_a_log_that_ends_years_ago_is_said_to_come_late_before_it_is_sent(
    shop: Shop, log: Path
) -> None:
    shop.create()

    old = shop.lately("replay", str(log), "--speed", "max")
    moved = shop.lately("replay", str(log), "--speed", "max", "--now")

    assert re.fullmatch(r"the log ends .* hours ago: .*--allowed-lateness-ms.*--now .*\n", old.err)
    assert moved.err == ""


def test_rate_is_events_per_second(shop: Shop, log: Path) -> None:
    shop.create()

    summary = shop.lately("replay", str(log), "--speed", "max", "--json").json

    assert summary["events"] == 3
    assert 0 < summary["seconds"] < 60
    # Both are rounded, the seconds to thousandths.
    assert summary["events_per_s"] == pytest.approx(3 / summary["seconds"], rel=0.1)


def test_now_shifts_event_times_to_the_present(shop: Shop, log: Path) -> None:
    shop.create()
    before_ms = time.time_ns() // 1_000_000

    result = shop.lately("replay", str(log), "--speed", "max", "--now", "--json")

    after_ms = time.time_ns() // 1_000_000
    events = {
        event.offset: json.loads(event.value) for event in shop.read(shop.settings.events_topic, 3)
    }
    times = [event.get("ts") for _, event in sorted(events.items())]
    # Sent at once: the last is now, the first an hour before it; the forget has no time.
    assert before_ms <= times[1] <= after_ms
    assert times == [times[1] - HOUR_MS, times[1], None]
    assert (result.json["first_ms"], result.json["last_ms"]) == (times[0], times[1])


def test_original_speed_keeps_the_time_between_events(shop: Shop, tmp_path: Path) -> None:
    shop.create()
    path = tmp_path / "events.jsonl"
    path.write_text(
        "".join(
            f'{{"user_id":"ann","item_id":"i","action":"click","ts":{ts}}}\n'
            for ts in (1790000001000, 1790000001200)
        )
    )

    assert shop.lately("replay", str(path), "--json").json["seconds"] >= 0.2
    assert shop.lately("replay", str(path), "--speed", "100", "--json").json["seconds"] >= 0.002


def test_ctrl_c_ends_the_replay_with_one_line(
    shop: Shop, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    entries = ReplayLog.entries

    def interrupted(self: ReplayLog) -> Iterator[Entry]:
        yield next(entries(self))
        raise KeyboardInterrupt

    monkeypatch.setattr(ReplayLog, "entries", interrupted)

    result = shop.lately("replay", str(log), "--speed", "max")

    assert (result.code, result.out) == (1, "")
    assert re.fullmatch(
        r"the log ends .*\nlately: stopped before every event was sent; "
        r"the first 1 of \d events are acknowledged; go on .* --skip 1\n",
        result.err,
    )


def test_sigterm_ends_a_replay_that_waits_for_its_next_event(
    shop: Shop, log: Path, tmp_path: Path
) -> None:
    """What it sent stays sent; the folder in which it sorted the log is gone."""
    shop.create()
    log.write_text("".join(log.read_text().splitlines(keepends=True)[1::-1]))  # not in order
    with lately(tmp_path, "replay", log) as command:
        sent = shop.read(shop.settings.events_topic, 1)
        assert [path.name[:14] for path in command.left()] == ["lately-replay-"]
        has_ended_cleanly(command)

    assert [json.loads(event.value)["ts"] for event in sent] == [FIRST_MS]


@pytest.mark.parametrize("speed", ["-1", "fast"])
def test_invalid_speed_is_bad_usage(shop: Shop, log: Path, speed: str) -> None:
    result = shop.lately("replay", str(log), "--speed", speed)

    assert result.code == 2 and "--speed" in result.err
