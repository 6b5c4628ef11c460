"""The doctor's checks of this machine, and of what a broker reports."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from stream.addresses import Address
from stream.commands.doctor import doctor
from stream.commands.doctor_checks.doctor_broker import (
    assess_group,
    assess_lag,
    assess_topics,
    kafka_of,
)
from stream.commands.doctor_checks.doctor_machine import (
    LITTLE_BYTES,
    TOO_LITTLE_BYTES,
    Check,
    assess_open_files,
    assess_space,
    check_artifact,
    check_http,
    check_state_dir,
)
from stream.kafka import topics
from stream.kafka.topic_checks import Finding
from stream.settings import DoctorSettings
from stream.storage.open_files import Limits
from stream.storage.store import StateStore

ARTIFACT = Path(__file__).parents[3] / "model" / "demo_artifact"


def by_name(checks: list[Check]) -> dict[str, Check]:
    assert len({check.what for check in checks}) == len(checks)
    return {check.what: check for check in checks}


def test_an_artifact_that_is_whole_passes_with_its_name_and_engine() -> None:
    check, vocabulary = check_artifact(ARTIFACT)

    assert check.status == "PASS"
    assert "demo" in check.found and "--scorer onnx" in check.found
    assert vocabulary is not None and vocabulary.actions == frozenset({"click", "cart", "buy"})


def test_an_artifact_that_is_none_fails_with_its_fix(tmp_path: Path) -> None:
    check, vocabulary = check_artifact(tmp_path)

    assert (check.status, str(tmp_path) in check.found) == ("FAIL", True)
    assert check.fix
    assert vocabulary is None


def test_a_state_directory_in_use_is_held_and_else_free(tmp_path: Path) -> None:
    store = StateStore(tmp_path / "shop", lambda _: None)
    before = by_name(list(check_state_dir(tmp_path, "shop")))
    store.lock()
    during = by_name(list(check_state_dir(tmp_path, "shop")))
    store.close_all()
    after = by_name(list(check_state_dir(tmp_path, "shop")))

    assert before["state"].status == "PASS"
    assert [c["lock"].found.split(":")[0] for c in (before, during, after)] == [
        "free",
        "held",
        "free",
    ]


def test_a_directory_that_is_not_there_yet_is_looked_for_and_not_made(tmp_path: Path) -> None:
    check = by_name(list(check_state_dir(tmp_path / "a" / "b", "shop")))["state"]

    assert check.status == "PASS" and "can be created" in check.found
    assert not (tmp_path / "a").exists()


def test_a_directory_below_a_file_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    (check,) = check_state_dir(tmp_path / "file" / "state", "shop")

    assert (check.status, "cannot write" in check.found) == ("FAIL", True)


@pytest.mark.parametrize(
    ("free_bytes", "status"),
    [
        (TOO_LITTLE_BYTES - 1, "FAIL"),
        (TOO_LITTLE_BYTES, "WARN"),
        (LITTLE_BYTES - 1, "WARN"),
        (LITTLE_BYTES, "PASS"),
    ],
)
def test_little_room_is_a_warning_and_too_little_a_failure(free_bytes: int, status: str) -> None:
    assert assess_space(free_bytes).status == status


def test_an_address_that_somebody_else_has_fails_and_a_free_one_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        http = Address(*other.getsockname())
        assert check_http(http).status == "FAIL"

    assert check_http(http).status == "PASS"


@pytest.mark.parametrize(
    ("groups", "status"),
    [
        ([], "WARN"),
        ([(0, "shop", "Dead", "", "", [])], "WARN"),
        ([(0, "shop", "PreparingRebalance", "consumer", "", ["a"])], "WARN"),
        ([(0, "shop", "Stable", "consumer", "", ["a", "b"])], "PASS"),
    ],
)
def test_a_group_needs_members_and_to_be_stable(groups: list[Any], status: str) -> None:
    assert assess_group("shop", groups).status == status


@pytest.mark.parametrize(("age_s", "status"), [(60, "PASS"), (61, "WARN"), (None, "WARN")])
def test_events_that_wait_for_more_than_a_minute_are_a_warning(
    age_s: int | None, status: str
) -> None:
    assert assess_lag(7, 2, age_s).status == status


@pytest.mark.parametrize(
    ("fetch", "kafka"),
    [
        # The first Kafka with that version of Fetch.
        (19, "4.1 or later"),
        (18, "4.1 or later"),
        (17, "3.9 or later"),
        (16, "3.7 or later"),
        (15, "3.5 or later"),
        (14, "3.1 or later"),  # came together with 15
        (13, "3.1 or later"),
        (12, "2.7 or later"),
        (11, "2.3 or later"),
        (10, "an old Kafka"),
        (4, "an old Kafka"),
    ],
)
def test_the_version_is_told_from_what_it_takes(fetch: int, kafka: str) -> None:
    assert kafka in kafka_of({1: fetch, 0: 9})


def test_broker_without_the_fetch_api_is_an_old_kafka() -> None:
    assert "an old Kafka (1 APIs, Fetch up to version 0)" in kafka_of({0: 9})


def test_findings_of_topics_that_are_wrong_keep_their_fix() -> None:
    right = Finding("PASS", "events", "exists", "4 partitions", "a topic")
    wrong = Finding("FAIL", "scores", "exists", "no such topic", "a topic", "run it")

    passed, failed = assess_topics([right, wrong])

    assert (passed.status, failed.status, failed.fix) == ("PASS", "FAIL", "run it")


def test_without_a_broker_the_rest_is_still_looked_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(topics, "TIMEOUT_S", 0.5)
    settings = DoctorSettings(
        bootstrap="127.0.0.1:1", artifact=ARTIFACT, state_dir=tmp_path, http="127.0.0.1:0"
    )

    assert doctor(settings, as_json=True) == 1
    answer = json.loads(capsys.readouterr().out)
    status = {check["what"]: check["status"] for check in answer["checks"]}
    assert (status["broker"], status["topics"]) == ("FAIL", "SKIP")
    assert (status["artifact"], status["state"], status["http"]) == ("PASS", "PASS", "PASS")
    assert not answer["fit"]


RAISED = (
    "192 partitions need 4,096, and a worker started here may open 4,096 (it raises the limit of "
    "1,024 itself)"
)


@pytest.mark.parametrize(
    ("limits", "status", "found"),
    [
        (
            (1024, 4096),
            "PASS",
            RAISED,
        ),
        ((4096, 4096), "PASS", "192 partitions need 4,096, and the limit is 4,096"),
        ((4095, 4095), "FAIL", "192 partitions need 4,096, and the limit is 4,095"),
    ],
)
def test_open_files_are_what_all_partitions_need_against_what_may_be_raised(
    limits: tuple[int, int], status: str, found: str
) -> None:
    check = assess_open_files(192, Limits(*limits))  # 256 of the process, and 20 each

    assert (check.status, check.found) == (status, found)
    assert ("ulimit -n" in check.fix) == (status == "FAIL")
