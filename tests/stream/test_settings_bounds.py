"""The bounds of each numeric setting, and names that must differ."""

from typing import Any

import pytest

from stream.errors import SettingsError
from stream.export.settings import ExportSettings
from stream.settings import DoctorSettings, KafkaSettings, TopicsSettings, WorkerSettings
from stream.user_state import Rules

NEEDED: dict[str, Any] = {"artifact": "model", "state_dir": "state"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)


def load(**flags: Any) -> WorkerSettings:
    return WorkerSettings.load(**(NEEDED | flags))


BOUNDS = [
    # name, lowest and highest accepted value, rejected values below and above
    ("artifact_poll_s", 0, 3_600, -0.1, 3_601),  # 0: on SIGHUP only; at most an hour
    ("max_per_category", 1, None, 0, None),
    ("diversity", 0, 1, -0.1, 1.01),  # a share
    ("recency_temperature", 0.01, 100, 0.009, 100.1),  # a hundredfold either way
    ("sequence_length", 1, 1_000, 0, 1_001),
    ("dedupe_window", 0, 1_000, -1, 1_001),  # 0: no deduplication
    ("allowed_lateness_ms", 0, None, -1, None),
    ("max_future_ms", 0, None, -1, None),
    ("forget_marker_s", 0, 86_400, -1, 86_401),  # at most a day
    ("ttl_s", 60, None, 59, None),
    ("max_message_bytes", 1_024, None, 1_023, None),
    ("batch_deadline_ms", 0, 60_000, -1, 60_001),  # 0: a batch closes at once; at most a minute
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


@pytest.mark.parametrize(("name", "lowest", "highest", "too_low", "too_high"), BOUNDS)
def test_number_is_accepted_within_its_bounds_only(
    name: str, lowest: float, highest: float | None, too_low: float, too_high: float | None
) -> None:
    for taken in (lowest, highest):
        if taken is not None:
            assert getattr(load(**{name: str(taken)}), name) == taken
    for refused in (too_low, too_high):
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


def test_shedding_must_begin_after_the_batch_deadline() -> None:
    assert load(batch_deadline_ms="0", shed_after_ms="1").shed_after_ms == 1
    assert load(batch_deadline_ms="200", shed_after_ms="201").shed_after_ms == 201
    for after_ms in ("0", "200"):
        with pytest.raises(SettingsError, match="shed_after_ms: "):
            load(batch_deadline_ms="200", shed_after_ms=after_ms)


@pytest.mark.parametrize("port", [1, 65_535])
def test_lowest_and_highest_ports_are_accepted(port: int) -> None:
    assert load(bootstrap=f"kafka:{port}").bootstrap == f"kafka:{port}"
    assert load(http=f"0.0.0.0:{port}").http == f"0.0.0.0:{port}"


@pytest.mark.parametrize("port", [65_536, 100_000])
def test_ports_above_65535_are_rejected(port: int) -> None:
    with pytest.raises(SettingsError, match=r"^bootstrap: "):
        load(bootstrap=f"kafka:{port}")
    with pytest.raises(SettingsError, match=r"^http: "):
        load(http=f"0.0.0.0:{port}")


def test_port_zero_is_accepted_for_http_only() -> None:
    assert load(http="127.0.0.1:0").http == "127.0.0.1:0"
    with pytest.raises(SettingsError, match=r"^bootstrap: "):
        load(bootstrap="kafka:0")


def test_up_to_255_actions_are_accepted() -> None:
    names = [f"a{n}" for n in range(255)]

    assert load(actions=",".join(names)).actions == tuple(names)


def test_rules_are_in_the_units_of_the_state() -> None:
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
def test_topic_names_must_differ(name: str) -> None:
    other = TOPICS[TOPICS.index(name) - 1]

    with pytest.raises(SettingsError, match=f"{name}.* must differ, and same is two of them"):
        KafkaSettings.load(**{name: "same", other: "same"})
    with pytest.raises(SettingsError, match="must differ"):
        KafkaSettings.load(**{name: "shop-state-changelog", "group": "shop"})


@pytest.mark.parametrize("name", TOPICS)
@pytest.mark.parametrize(
    "value", ["a/b", "../x", "a b", "shop:events", "caf\u00e9", "x" * 250, ".", ".."]
)
def test_a_name_that_no_topic_can_have_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: .* is no name that a topic can have"):
        load(**{name: value})


@pytest.mark.parametrize(
    "value",
    [
        "a/b",
        "../x",
        "a b",
        "shop:events",
        "caf\u00e9",
        "x" * 234,
        ".",
        "..",
        "faust",
        "instance_id",
    ],
)
def test_a_group_that_can_name_no_changelog_or_no_folder_of_its_own_is_refused(value: str) -> None:
    """As ``..`` it had its state, locks and files beside those of other workers."""
    with pytest.raises(SettingsError, match=r"^group: .* is no name that a group can have") as end:
        load(group=value)
    assert "--group or LATELY_GROUP" in str(end.value)


def test_every_setting_that_names_a_topic_or_a_folder_has_a_rule() -> None:
    """A path is the user's own; any other text becomes none, or is checked."""
    for settings in (WorkerSettings, DoctorSettings, TopicsSettings, ExportSettings):
        for name, field in settings.model_fields.items():
            if name.endswith("_topic") or name == "group":
                assert field.metadata, f"{settings.__name__}: {name} may be anything"


@pytest.mark.parametrize("name", [*TOPICS, "group"])
def test_a_name_may_be_as_long_as_kafka_lets_it_be(name: str) -> None:
    longest = "x" * (249 - len("-state-changelog") * (name == "group"))

    assert getattr(load(**{name: longest}), name) == longest
    with pytest.raises(SettingsError):
        load(**{name: f"{longest}x"})


def test_oauthbearer_needs_a_token_file_and_no_password() -> None:
    token = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}

    assert load(**token, sasl_token_file="token").sasl_token_file
    with pytest.raises(SettingsError, match="no token"):
        load(**token, sasl_username="u", sasl_password="p")  # these are of other mechanisms


def test_doctor_and_worker_have_the_same_default_http_address() -> None:
    assert DoctorSettings.load().http == load().http
