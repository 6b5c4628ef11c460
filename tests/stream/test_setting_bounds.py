"""How far each number among the settings may go, and which names must differ."""

from typing import Any

import pytest

from stream.errors import SettingsError
from stream.settings import DoctorSettings, KafkaSettings, WorkerSettings
from stream.user_state import Rules

NEEDED: dict[str, Any] = {"artifact": "model", "state_dir": "state"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)


def load(**flags: Any) -> WorkerSettings:
    return WorkerSettings.load(**(NEEDED | flags))


BOUNDS = [
    # name, the least and the most that are taken, and what is refused on either side
    ("artifact_poll_s", 0, 3_600, -0.1, 3_601),  # 0 looks on SIGHUP only; at most an hour late
    ("max_per_category", 1, None, 0, None),
    ("diversity", 0, 1, -0.1, 1.01),  # a share
    ("recency_temperature", 0.01, 100, 0.009, 100.1),  # a hundredfold either way
    ("sequence_length", 1, 1_000, 0, 1_001),
    ("dedupe_window", 0, 1_000, -1, 1_001),  # 0 remembers no event_id
    ("allowed_lateness_ms", 0, None, -1, None),
    ("max_future_ms", 0, None, -1, None),
    ("forget_marker_s", 0, 86_400, -1, 86_401),  # at most a day
    ("ttl_s", 60, None, 59, None),
    ("max_message_bytes", 1_024, None, 1_023, None),
    ("batch_deadline_ms", 0, 60_000, -1, 60_001),  # 0 closes a batch at once; at most a minute
    ("batch_users", 1, None, 0, None),
    ("max_pending_users", 1, None, 0, None),
    ("max_in_flight", 1, 64, 0, 65),
    ("cache_users", 1, None, 0, None),
    ("commit_interval_s", 0.001, 60, 0, 60.1),
    ("scoring_timeout_s", 0.001, None, 0, None),
    ("delivery_timeout_s", 0.001, None, 0, None),
    ("session_timeout_s", 1, None, 0.9, None),
    ("drain_timeout_s", 0.001, 9, 0, 9.1),  # supervisors kill after ten seconds
]


@pytest.mark.parametrize(("name", "least", "most", "too_little", "too_much"), BOUNDS)
def test_a_number_is_taken_up_to_its_bounds_and_not_beyond(
    name: str, least: float, most: float | None, too_little: float, too_much: float | None
) -> None:
    for taken in (least, most):
        if taken is not None:
            assert getattr(load(**{name: str(taken)}), name) == taken
    for refused in (too_little, too_much):
        if refused is not None:
            with pytest.raises(SettingsError, match=f"^{name}: "):
                load(**{name: str(refused)})


def test_every_number_has_bounds_that_are_tested_here() -> None:
    numbers = {
        name
        for name, field in WorkerSettings.model_fields.items()
        if field.annotation in (int, float, int | None, float | None)
    }

    assert numbers - {bound[0] for bound in BOUNDS} == {"shed_after_ms"}  # depends on another


def test_shedding_begins_after_a_batch_has_had_the_time_to_close() -> None:
    assert load(batch_deadline_ms="0", shed_after_ms="1").shed_after_ms == 1
    assert load(batch_deadline_ms="200", shed_after_ms="201").shed_after_ms == 201
    for after_ms in ("0", "200"):
        with pytest.raises(SettingsError, match="shed_after_ms: "):
            load(batch_deadline_ms="200", shed_after_ms=after_ms)


@pytest.mark.parametrize("port", [1, 65_535])
def test_a_port_is_one_that_there_is(port: int) -> None:
    assert load(bootstrap=f"kafka:{port}").bootstrap == f"kafka:{port}"
    assert load(http=f"0.0.0.0:{port}").http == f"0.0.0.0:{port}"


@pytest.mark.parametrize("port", [65_536, 100_000])
def test_a_port_past_the_last_one_is_refused(port: int) -> None:
    with pytest.raises(SettingsError, match=r"^bootstrap: "):
        load(bootstrap=f"kafka:{port}")
    with pytest.raises(SettingsError, match=r"^http: "):
        load(http=f"0.0.0.0:{port}")


def test_an_http_port_may_be_left_to_the_system_and_that_of_a_broker_may_not() -> None:
    assert load(http="127.0.0.1:0").http == "127.0.0.1:0"
    with pytest.raises(SettingsError, match=r"^bootstrap: "):
        load(bootstrap="kafka:0")


def test_as_many_actions_as_a_byte_counts() -> None:
    names = [f"a{n}" for n in range(255)]

    assert load(actions=",".join(names)).actions == tuple(names)


def test_the_rules_are_in_the_units_of_the_state() -> None:
    settings = load(
        sequence_length="7",
        dedupe_window="8",
        allowed_lateness_ms="9",
        max_future_ms="10",
        ttl_s="60",
    )

    assert settings.rules == Rules(7, 8, 9, 10, 60 * 1000)


TOPICS = ("events_topic", "scores_topic", "dead_topic", "receipts_topic")


@pytest.mark.parametrize("name", TOPICS)
def test_no_topic_is_two_of_ours(name: str) -> None:
    other = TOPICS[TOPICS.index(name) - 1]

    with pytest.raises(SettingsError, match=f"{name}.* must differ, and same is two of them"):
        KafkaSettings.load(**{name: "same", other: "same"})
    with pytest.raises(SettingsError, match="must differ"):
        KafkaSettings.load(**{name: "shop-state-changelog", "group": "shop"})


def test_a_token_does_in_the_place_of_user_and_password(monkeypatch: pytest.MonkeyPatch) -> None:
    token = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}

    assert load(**token, sasl_token_file="token").sasl_token_file
    with pytest.raises(SettingsError, match="no token"):
        load(**token, sasl_username="u", sasl_password="p")  # these are of other mechanisms


def test_the_doctor_looks_where_the_worker_answers() -> None:
    assert DoctorSettings.load().http == load().http
