"""Settings: which source wins, what is refused and how, and that secrets stay secret."""

from pathlib import Path
from typing import Any

import pytest

from stream.errors import SettingsError
from stream.settings import KafkaSettings, WorkerSettings

NEEDED: dict[str, Any] = {"artifact": "model", "state_dir": "state"}
SECRET = "correct horse"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*WorkerSettings.model_fields, "sasl_password_file"):
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)


def load(**flags: Any) -> WorkerSettings:
    return WorkerSettings.load(**(NEEDED | flags))


def refusal(**flags: Any) -> str:
    with pytest.raises(SettingsError) as error:
        load(**flags)
    text = str(error.value)
    assert "\n" not in text
    return text


# --- who wins ------------------------------------------------------------------------------------


def test_a_flag_wins_over_the_environment_and_the_environment_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load().batch_deadline_ms == 200

    monkeypatch.setenv("LATELY_BATCH_DEADLINE_MS", "25")
    assert load().batch_deadline_ms == 25
    assert load(batch_deadline_ms=None).batch_deadline_ms == 25  # a flag that was not given
    assert load(batch_deadline_ms="50").batch_deadline_ms == 50


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "ARTIFACT": "m",
        "STATE_DIR": "s",
        "ACTIONS": "view, buy",
        "IDEMPOTENCE": "false",
        "COMMIT_INTERVAL_S": "0.5",
        "BATCH_USERS": "7",
        "SCORER": "null",
    }.items():
        monkeypatch.setenv(f"LATELY_{name}", text)

    settings = WorkerSettings.load()

    assert (settings.artifact, settings.state_dir) == (Path("m"), Path("s"))
    assert settings.actions == ("view", "buy")
    assert settings.idempotence is False
    assert (settings.commit_interval_s, settings.batch_users, settings.scorer) == (0.5, 7, "null")


def test_what_is_neither_flag_nor_ours_in_the_environment_is_ignored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GROUP", "other")
    monkeypatch.setenv("LATELY_SOMETHING_ELSE", "1")

    assert load().group == "lately"


def test_the_changelog_is_named_by_the_group() -> None:
    assert load(group="shop").changelog_topic == "shop-state-changelog"


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        setattr(load(), "group", "other")  # noqa: B010 - the type checker forbids it too


@pytest.mark.parametrize("settings", [KafkaSettings, WorkerSettings])
def test_every_setting_says_what_it_is(settings: type[KafkaSettings]) -> None:
    assert [name for name, field in settings.model_fields.items() if not field.description] == []


# --- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bootstrap", "localhost"),
        ("bootstrap", "localhost:0"),
        ("bootstrap", "a:1,b"),
        ("bootstrap", ":9092"),
        ("http", "8090"),
        ("http", "localhost:70000"),
        ("security_protocol", "TLS"),
        ("scorer", "gpu"),
        ("actions", "click,click"),
        ("actions", "click,,buy"),
        ("actions", ""),
        ("actions", "click,forget"),
        ("actions", ",".join(f"a{n}" for n in range(256))),
        ("sequence_length", "0"),
        ("sequence_length", "many"),
        ("sequence_length", "1.5"),
        ("dedupe_window", "-1"),
        ("ttl_s", "59"),
        ("max_message_bytes", "10"),
        ("batch_deadline_ms", "60001"),
        ("batch_users", "0"),
        ("artifact_poll_s", "-1"),
        ("shed_after_ms", "0"),
        ("shed_after_ms", "200"),  # no longer than a batch takes to close in a quiet hour
        ("commit_interval_s", "0"),
        ("commit_interval_s", "nan"),
        ("delivery_timeout_s", "inf"),
        ("drain_timeout_s", "10"),
        ("max_per_category", "0"),
        ("diversity", "1.1"),
        ("diversity", "nan"),
        ("recency_temperature", "0"),
        ("idempotence", "perhaps"),
        ("log_level", "loud"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_flag_and_its_variable(
    name: str, value: str
) -> None:
    text = refusal(**{name: value})

    assert text.startswith(f"{name}: ")
    assert f"--{name.replace('_', '-')}" in text
    assert f"LATELY_{name.upper()}" in text


@pytest.mark.parametrize("name", ["artifact", "state_dir"])
def test_what_has_no_default_is_asked_for(name: str) -> None:
    text = refusal(**{name: None})

    assert text.startswith(f"{name}: Field required")
    assert f"LATELY_{name.upper()}" in text


def test_everything_that_is_wrong_is_said_at_once() -> None:
    text = refusal(sequence_length="0", ttl_s="1")

    assert "; sequence_length: " in text
    assert "ttl_s: " in text


def test_bad_settings_end_with_exit_code_2() -> None:
    assert SettingsError.exit_code == 2


def test_several_brokers_may_be_named() -> None:
    assert load(bootstrap="a:1, b:2").bootstrap == "a:1,b:2"


# --- secrets -------------------------------------------------------------------------------------


@pytest.fixture
def secret_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{SECRET}\n", encoding="utf-8")
    monkeypatch.setenv("LATELY_SASL_PASSWORD_FILE", str(path))
    return path


def password(settings: KafkaSettings) -> str | None:
    secret = settings.sasl_password
    return None if secret is None else secret.get_secret_value()


@pytest.mark.usefixtures("secret_file")
def test_a_secret_is_read_from_its_file_without_the_line_end() -> None:
    assert password(load()) == SECRET


@pytest.mark.usefixtures("secret_file")
def test_a_secret_in_the_environment_wins_over_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATELY_SASL_PASSWORD", "other")

    assert password(load()) == "other"


@pytest.mark.usefixtures("secret_file")
def test_a_secret_shows_nowhere() -> None:
    settings = load()

    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(vars(settings))):
        assert SECRET not in text


@pytest.mark.usefixtures("secret_file")
def test_a_secret_shows_not_in_an_error_either() -> None:
    assert SECRET not in refusal(security_protocol="SASL_SSL")
    assert SECRET not in refusal(sequence_length="0")


def test_a_secret_file_that_cannot_be_read_is_named_with_its_variable(secret_file: Path) -> None:
    secret_file.unlink()

    text = refusal()

    assert text.startswith("LATELY_SASL_PASSWORD_FILE: ")
    assert str(secret_file) in text
    assert "No such file" in text


def test_a_secret_file_that_is_no_text_is_named_with_its_variable(secret_file: Path) -> None:
    secret_file.write_bytes(b"\xff\xfe")

    assert refusal().startswith("LATELY_SASL_PASSWORD_FILE: ")


def test_only_secrets_have_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "group").write_text("other")
    monkeypatch.setenv("LATELY_GROUP_FILE", str(tmp_path / "group"))

    assert load().group == "lately"


@pytest.mark.parametrize("missing", ["sasl_username", "sasl_password"])
def test_sasl_needs_a_user_and_a_password(missing: str) -> None:
    given = {"sasl_username": "u", "sasl_password": SECRET} | {missing: None}

    text = refusal(security_protocol="SASL_SSL", **given)

    assert "LATELY_SASL_USERNAME and LATELY_SASL_PASSWORD_FILE" in text


def test_an_empty_password_is_none(secret_file: Path) -> None:
    secret_file.write_text("\n")

    assert "no user and password" in refusal(security_protocol="SASL_PLAINTEXT", sasl_username="u")
