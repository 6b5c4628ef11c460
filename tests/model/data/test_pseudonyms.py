"""Pseudonyms: equal for equal keys, in a log and in a producer; the output holds no id."""

import hashlib
import hmac
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import typer
from typer.testing import CliRunner, Result

from model.cli import commands
from model.data.log import EventLog
from model.data.pseudonyms import FIELDS, Pseudonyms
from model.errors import DataError, ModelError
from stream.commands.read_sequence import read_sequence

KEY = b"0123456789abcdef"
T0 = 1_700_000_000_000
ANN, BOB = "ann@example.com", "bob@example.com"
EVENTS: list[dict[str, Any]] = [
    {"user_id": ANN, "item_id": "i1", "action": "click", "ts": T0, "event_id": f"{ANN}-1"},
    {"user_id": BOB, "item_id": "i2", "action": "buy", "ts": T0 + 1, "price": 1.5, "category": "c"},
    {"user_id": ANN, "item_id": "i1", "action": "cart", "ts": T0 + 2, "session_id": BOB},
    {"user_id": BOB, "action": "forget"},
]


def run(*words: str | Path) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    commands(app, read_sequence)
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps({**e, "email": ANN}) + "\n" for e in EVENTS))
    return path


def test_a_pseudonym_is_a_truncated_hmac() -> None:
    whole = hmac.new(KEY, ANN.encode(), hashlib.sha256).hexdigest()

    assert Pseudonyms(KEY)(ANN) == whole[:32]
    assert Pseudonyms(KEY)(ANN) == Pseudonyms(KEY)(ANN)  # earlier calls leave no state
    assert Pseudonyms(KEY[::-1])(ANN) != whole[:32]


def test_a_rewritten_log_equals_a_producers_events(log: Path, key: Path, tmp_path: Path) -> None:
    result = run("pseudonymise", log, "--key", key, "--out", tmp_path / "out.jsonl")
    names = Pseudonyms.from_file(key)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'out.jsonl'}: 4 rows with pseudonyms\n"
    assert rows == [names.event(event) for event in EVENTS]
    assert rows[2]["session_id"] == rows[1]["user_id"]  # no account: the session is the user
    assert rows[3] == {"user_id": names(BOB), "action": "forget"}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_no_file_type_contains_an_id_or_the_key(
    log: Path, key: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"out{suffix}"
    result = run("pseudonymise", log, "--key", key, "--out", out)
    content = out.read_bytes()
    before, after = EventLog.open([log]), EventLog.open([out])

    assert result.exit_code == 0, result.output
    for secret in (b"example.com", KEY):
        assert secret not in content
        assert secret not in result.output.encode()
    assert (after.rows, after.forgotten) == (before.rows, before.forgotten) == (4, 1)
    rest = pl.exclude(FIELDS)
    assert after.frame.select(rest).collect().equals(before.frame.select(rest).collect())


def test_several_logs_become_one_with_the_same_pseudonyms(
    log: Path, key: Path, tmp_path: Path
) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.jsonl"
    run("pseudonymise", log, "--key", key, "--out", first)
    result = run("pseudonymise", log, log, "--key", key, "--out", second)

    assert result.exit_code == 0, result.output
    users = [json.loads(line)["user_id"] for line in second.read_text().splitlines()]
    assert users == 2 * users_of(first)


def users_of(path: Path) -> list[str]:
    return pl.read_csv(path)["user_id"].to_list()


def test_empty_fields_of_an_event_are_kept() -> None:
    names = Pseudonyms(KEY)

    assert names.event({"user_id": ANN, "price": None, "event_id": None, "session_id": ""}) == {
        "user_id": names(ANN),
        "price": None,
        "event_id": None,
        "session_id": "",
    }


def test_a_short_key_is_rejected_and_not_shown(log: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"hunter2\n")
    result = run("pseudonymise", log, "--key", short, "--out", tmp_path / "out.jsonl")

    assert isinstance(result.exception, ModelError)
    assert str(result.exception).startswith(f"{short}: the key has 7 bytes, expected at least 16")
    assert "hunter2" not in str(result.exception) + result.output + repr(Pseudonyms(KEY))
    assert not (tmp_path / "out.jsonl").exists()


def test_a_missing_key_file_is_reported(log: Path, tmp_path: Path) -> None:
    result = run("pseudonymise", log, "--key", tmp_path / "gone", "--out", tmp_path / "out.jsonl")

    assert "gone: cannot be read (No such file or directory); name the file" in str(
        result.exception
    )


def test_a_row_without_a_user_is_rejected_and_nothing_is_written(key: Path, tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text('{"item_id": "i", "action": "click", "ts": 1}\n')
    result = run("pseudonymise", log, "--key", key, "--out", tmp_path / "out.jsonl")

    assert isinstance(result.exception, DataError)
    assert {path.name for path in tmp_path.iterdir()} == {"key", "events.jsonl"}


def test_an_existing_log_is_not_overwritten(log: Path, key: Path) -> None:
    before = log.read_bytes()

    assert run("pseudonymise", log, "--key", key, "--out", log).exit_code == 2
    assert log.read_bytes() == before


def test_pseudonyms_need_only_the_standard_library() -> None:
    program = (
        "import sys; from model.data.pseudonyms import Pseudonyms; Pseudonyms(b'0' * 16)('u1'); "
        "print({'numpy', 'polars', 'orjson', 'torch'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, check=True, capture_output=True, text=True)

    assert done.stdout == "set()\n"
