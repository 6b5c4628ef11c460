"""A log is replayed whole and in order of time, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream.commands.event_log import EventLogError, ReplayLog

T0 = 1_700_000_000_000  # most times are milliseconds after it
EVENT = {"user_id": "u1", "item_id": "i1", "action": "click", "ts": T0}


def written(path: Path, *events: dict[str, Any] | str) -> Path:
    lines = (event if isinstance(event, str) else json.dumps(event) for event in events)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_lines_go_out_as_they_stand(tmp_path: Path) -> None:
    line = (
        '{"ts": "1970-01-01T00:00:01.5Z",  "user_id": "ü", "action": "a", "item_id": "i", "x": "y"}'
    )
    path = written(tmp_path / "a.jsonl", line, "", EVENT | {"ts": T0 + 2000})

    log = ReplayLog.open([path])
    entries = list(log.entries())

    assert (log.events, log.last_ms) == (2, T0 + 2000)
    assert entries[0] == (1500, "ü", line.encode())
    assert json.loads(entries[1].value) == EVENT | {"ts": T0 + 2000}


def test_files_out_of_order_are_put_in_order_and_merged(tmp_path: Path) -> None:
    first = written(
        tmp_path / "a.jsonl",
        EVENT | {"ts": T0 + 30, "item_id": "a30"},
        EVENT | {"ts": T0 + 10, "item_id": "a10"},
        EVENT | {"ts": T0 + 20, "item_id": "a20"},
        EVENT | {"ts": T0 + 10, "item_id": "a10, later in the file", "user_id": "u2"},
    )
    second = written(
        tmp_path / "b.jsonl",
        EVENT | {"ts": T0 + 10, "item_id": "b10"},
        EVENT | {"ts": T0 + 25, "item_id": "b25"},
    )

    log = ReplayLog.open([first, second])

    assert log.in_order == (False, True)
    assert [(e.ts_ms, e.user_id, json.loads(e.value)["item_id"]) for e in log.entries()] == [
        (T0 + 10, "u1", "a10"),
        (T0 + 10, "u2", "a10, later in the file"),
        (T0 + 10, "u1", "b10"),
        (T0 + 20, "u1", "a20"),
        (T0 + 25, "u1", "b25"),
        (T0 + 30, "u1", "a30"),
    ]


def test_csv_rows_become_events_of_the_wire_contract(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "event_id,user_id,item_id,action,ts,session_id,category,price,quantity\n"
        f"e1,u1,007,buy,{T0},,,2.5,2\n"
        "e2,u1,i1,click,2026-01-01T00:00:02Z,s,shoes,free\n",
        encoding="utf-8",
    )

    values = [json.loads(entry.value) for entry in ReplayLog.open([path]).entries()]

    assert values == [
        {"event_id": "e1", "user_id": "u1", "item_id": "007", "action": "buy", "ts": T0}
        | {"price": 2.5, "quantity": 2.0},
        {"event_id": "e2", "user_id": "u1", "item_id": "i1", "action": "click"}
        | {"ts": "2026-01-01T00:00:02Z", "session_id": "s", "category": "shoes"},
    ]


def test_parquet_rows_become_events_without_their_empty_fields(tmp_path: Path) -> None:
    pl = pytest.importorskip("polars", reason="the extra `train` is not installed")
    path = tmp_path / "a.parquet"
    pl.DataFrame([EVENT | {"price": None}, EVENT | {"price": 2.5, "ts": T0 + 10}]).write_parquet(
        path
    )

    values = [json.loads(entry.value) for entry in ReplayLog.open([path]).entries()]

    assert values == [EVENT, EVENT | {"price": 2.5, "ts": T0 + 10}]


def test_a_wish_to_be_forgotten_without_a_time_keeps_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.jsonl",
        EVENT | {"ts": T0 + 20},
        {"user_id": "u1", "action": "forget"},
        EVENT | {"ts": T0 + 10},
    )

    entries = ReplayLog.open([path]).entries()

    assert [(e.ts_ms, json.loads(e.value)["action"]) for e in entries] == [
        (T0 + 10, "click"),
        (T0 + 20, "click"),
        (T0 + 20, "forget"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "\n", "the log is empty"),
        (
            "a.jsonl",
            f"{json.dumps(EVENT)}\nnot json\n",
            "line 2: cannot be read: .*; repair the line",
        ),
        ("a.jsonl", '{"ts": 1}\n', "line 1: no user_id; expected user_id, item_id, action, ts"),
        ("a.jsonl", f"{json.dumps(EVENT | {'user_id': 7.5})}\n", "line 1: user_id is 7.5"),
        ("a.jsonl", f"{json.dumps(EVENT | {'ts': None})}\n", "line 1: no ts; expected integer"),
        (
            "a.jsonl",
            f"{json.dumps(EVENT | {'ts': 1.5})}\n",
            "line 1: no readable time in ts: 1.5, which",
        ),
        ("a.jsonl", f"{json.dumps(EVENT | {'ts': -1})}\n", "ts: -1, which is outside"),
        ("a.jsonl", f"{json.dumps(EVENT | {'ts': 1788001910})}\n", "line 1: .* looks like seconds"),
        ("a.jsonl", f"{json.dumps(EVENT | {'ts': '1788001910.5'})}\n", "a number of seconds"),
        (
            "a.csv",
            "user_id,item_id,action,ts\nu,i,click,1788001910\n",
            "row 1: .* 1788001910, which looks like seconds",
        ),
        ("a.jsonl", f"{json.dumps(EVENT | {'ts': '1970-01-01T00:00:00'})}\n", "needs a zone"),
        ("a.csv", "user_id,item_id,action,ts\n", "the log is empty"),
        ("a.csv", "user_id,item_id,action,ts\nu,i,click,soon\n", "row 1: "),
        ("a.csv", "user_id,item_id,action,ts\nu,i,click,1,2\n", "row 1: more fields than columns"),
        ("a.parquet", "PAR?", "cannot be read"),
        ("a.xlsx", "x", "expected a name with one of"),
        (None, "", "cannot be read"),
    ],
)
def test_a_log_that_cannot_be_replayed_is_refused_in_one_line(
    tmp_path: Path, name: str | None, content: str, message: str
) -> None:
    path = tmp_path / (name or "missing.jsonl")
    if name:
        path.write_text(content, encoding="utf-8")

    with pytest.raises(EventLogError, match=message) as caught:
        ReplayLog.open([path])
    assert "\n" not in str(caught.value)
