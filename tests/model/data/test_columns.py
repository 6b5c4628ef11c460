"""A log in foreign columns is refused with the command that converts it, by both readers."""

import shlex
from pathlib import Path

import pytest

from model.data.log import EventLog
from model.data.row import REQUIRED
from model.errors import DataError
from stream.commands.event_log import EventLogError, ReplayLog

COMMAND = (
    "`lately convert` reads it: `lately convert table log.csv --map user_id=customer_id "
    "--map item_id=sku --map action=event --map ts=time --out events.jsonl`"
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"customer_id,sku,event,time\nc1,s1,view,2026-01-01\n",
            f"found customer_id, sku, event, time; expected {', '.join(REQUIRED)}; {COMMAND}",
        ),
        (
            b"customer_id;sku;event;time\nc1;s1;view;2026-01-01\n",
            f"separated by semicolons, not commas; {COMMAND}",
        ),
        (b"customer_id\tsku\tevent\ttime\n", f"separated by tabs, not commas; {COMMAND}"),
        ("user_id,item_id,action,ts\n".encode("utf-16"), "is UTF-16, expected UTF-8; `lately conv"),
        (b"user_id, item_id,action,ts\nu,i,click,1\n", "' item_id' has a space in its name; write"),
        (
            b"Visitor ID,asin,behaviour,event_time\n",
            "'user_id=Visitor ID' --map item_id=asin",
        ),
        (b"a,b\n1,2\n", "--map user_id=COLUMN --map item_id=COLUMN"),
    ],
)
def test_a_foreign_log_is_refused_with_the_command_that_reads_it(
    tmp_path: Path, content: bytes, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("log.csv")
    path.write_bytes(content)

    with pytest.raises(DataError) as of_train:
        EventLog.open([path])
    with pytest.raises(EventLogError) as of_replay:
        ReplayLog.open([path])
    assert message in str(of_train.value) and message in str(of_replay.value)
    assert "\n" not in str(of_train.value)


@pytest.mark.parametrize(
    "typed", ["logs/log.csv", "../log.csv", "my logs/log.csv", "logs/it's.csv", "$(x)/log.csv"]
)
def test_the_command_names_the_file_from_where_the_user_stands(
    tmp_path: Path, typed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    path = Path(typed)
    path.parent.mkdir(exist_ok=True)
    path.write_text("customer_id,sku,event,time\nc1,s1,view,2026-01-01\n")

    with pytest.raises(DataError) as refused:
        EventLog.open([path])
    command = str(refused.value).rsplit("`", 2)[1]
    assert shlex.split(command)[:4] == ["lately", "convert", "table", typed]


def test_foreign_names_in_lines_of_json_are_told(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"customerId": "c", "sku": "s", "event": "view", "timestamp": "2026-01-01"}\n')

    with pytest.raises(DataError) as refused:
        EventLog.open([path])
    assert "found customerId, sku, event, timestamp; expected user_id" in str(refused.value)
    assert "--map user_id=customerId --map item_id=sku --map action=event" in str(refused.value)
