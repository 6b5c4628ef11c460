"""Where settings come from: empty variables are none, and those that are no settings are named."""

from pathlib import Path

import pytest

from stream.errors import SettingsError
from stream.export.settings import ExportSettings
from stream.settings import (
    DoctorSettings,
    FoldSettings,
    KafkaSettings,
    StateSettings,
    WorkerSettings,
)
from stream.sources import Settings, unknown_variables

NEEDED = {"artifact": "model", "state_dir": "state"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*WorkerSettings.model_fields, "sasl_password_file"):
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)


@pytest.mark.parametrize("name", sorted(WorkerSettings.model_fields.keys() - NEEDED.keys()))
def test_an_empty_variable_is_as_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    expected = WorkerSettings.load(**NEEDED)

    monkeypatch.setenv(f"LATELY_{name.upper()}", "")

    assert WorkerSettings.load(**NEEDED) == expected


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_what_is_required_is_not_given_by_an_empty_variable(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"LATELY_{name.upper()}", "")

    with pytest.raises(SettingsError, match=f"{name}: Field required"):
        WorkerSettings.load(**{key: value for key, value in NEEDED.items() if key != name})


def test_an_empty_name_of_a_secret_file_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LATELY_SASL_PASSWORD_FILE", "")
    assert WorkerSettings.load(**NEEDED).sasl_password is None

    file = tmp_path / "password"
    file.write_text("secret")
    monkeypatch.setenv("LATELY_SASL_PASSWORD", "")  # does not hide the file
    monkeypatch.setenv("LATELY_SASL_PASSWORD_FILE", str(file))
    password = WorkerSettings.load(**NEEDED).sasl_password
    assert password is not None
    assert password.get_secret_value() == "secret"


@pytest.mark.parametrize(
    "name", ["group", "events_topic", "state_dir", "ssl_ca_file", "batch_users"]
)
def test_an_empty_flag_is_refused_since_somebody_wrote_it(name: str) -> None:
    with pytest.raises(SettingsError) as error:
        WorkerSettings.load(**{**NEEDED, name: ""})

    assert str(error.value).startswith(f"{name}: is empty; set --{name.replace('_', '-')} or ")


@pytest.mark.parametrize("value", ["", " ", "\t", "\n"])
def test_a_variable_of_spaces_is_as_none(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    for name in ("GROUP", "BATCH_USERS", "IDEMPOTENCE", "SSL_CA_FILE", "HTTP", "ACTIONS"):
        monkeypatch.setenv(f"LATELY_{name}", value)

    assert WorkerSettings.load(**NEEDED) == WorkerSettings.load(**NEEDED, group="lately")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("group", "shop ", "shop"),  # else another group, which begins anew
        ("events_topic", " shop.events", "shop.events"),
        ("idempotence", " false", False),
        ("log_format", "json\n", "json"),
        ("state_dir", " state", Path("state")),
        ("batch_users", "5\r", 5),  # of a file with the line ends of Windows
    ],
)
def test_spaces_around_a_value_do_not_count(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: object
) -> None:
    monkeypatch.setenv(f"LATELY_{name.upper()}", value)
    given = {key: path for key, path in NEEDED.items() if key != name}

    assert getattr(WorkerSettings.load(**given), name) == expected


def test_a_password_keeps_its_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATELY_SASL_PASSWORD", " secret ")
    password = WorkerSettings.load(**NEEDED).sasl_password

    assert password is not None and password.get_secret_value() == " secret "


@pytest.mark.parametrize(
    "content", [b"secret", b"secret\n", b"secret\r\n", b"\xef\xbb\xbfsecret\n"]
)
def test_a_secret_is_the_line_in_its_file_whatever_wrote_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    monkeypatch.setenv("LATELY_SASL_PASSWORD_FILE", str(file))
    password = WorkerSettings.load(**NEEDED).sasl_password

    assert password is not None and password.get_secret_value() == "secret"


@pytest.mark.parametrize("name", ["lately_batch_users", "LATELY_batch_users", "Lately_Batch_Users"])
def test_a_name_that_is_not_in_capitals_has_no_effect_and_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It hid the one in capitals before, and some of them were said to have no effect."""
    monkeypatch.setenv("LATELY_BATCH_USERS", "5")
    monkeypatch.setenv(name, "7")

    assert WorkerSettings.load(**NEEDED).batch_users == 5
    assert unknown(name) == [
        f"{name} is no setting, and has no effect; did you mean LATELY_BATCH_USERS?"
    ]


def unknown(*names: str) -> list[str]:
    return list(unknown_variables(dict.fromkeys(names, "5"), WorkerSettings))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("LATELY_BATCH_DEADLINE", "LATELY_BATCH_DEADLINE_MS"),
        ("LATELY_BOOTSTRAP_SERVERS", "LATELY_BOOTSTRAP"),
        ("LATELY_TTL", "LATELY_TTL_S"),
        ("LATELY_SASL_PASSWORDFILE", "LATELY_SASL_PASSWORD_FILE"),
    ],
)
def test_a_variable_that_is_no_setting_is_named_with_the_nearest_that_is(
    name: str, nearest: str
) -> None:
    assert unknown(name) == [
        f"{name} is no setting, and has no effect; did you mean {nearest}?",
    ]


def test_one_that_is_near_to_none_is_named_with_where_they_are_listed() -> None:
    (line,) = unknown("LATELY_QQQQQQQQ")

    assert line.endswith("; `lately config show` lists them")


@pytest.mark.parametrize(
    "name",
    [
        *(f"LATELY_{name.upper()}" for name in WorkerSettings.model_fields),
        "LATELY_SASL_PASSWORD_FILE",
        "LATELY_FAILPOINT",
        "LATELY_TEST_BOOTSTRAP",
        # Kubernetes sets these for a service that is called lately, or lately-http.
        "LATELY_SERVICE_HOST",
        "LATELY_SERVICE_PORT_METRICS",
        "LATELY_PORT",
        "LATELY_PORT_8090_TCP_ADDR",
        "LATELY_HTTP_SERVICE_HOST",
        "LATELY_HTTP_PORT_8090_TCP",
        "PATH",
    ],
)
def test_what_has_a_meaning_is_not_named(name: str) -> None:
    assert unknown(name) == []


def test_a_name_of_no_secret_with_file_behind_it_is_named() -> None:
    assert len(unknown("LATELY_GROUP_FILE")) == 1


KINDS = (KafkaSettings, StateSettings, DoctorSettings, FoldSettings, ExportSettings)


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_is_not_ended_by_a_variable_that_it_does_not_read(
    monkeypatch: pytest.MonkeyPatch, kind: type[Settings]
) -> None:
    """`lately explain FILE` was, by a wrong LATELY_HTTP."""
    given = {name: path for name, path in NEEDED.items() if name in kind.model_fields}
    expected = kind.load(**given)

    for name in WorkerSettings.model_fields.keys() - kind.model_fields.keys():
        monkeypatch.setenv(f"LATELY_{name.upper()}", "\x7f wrong")

    assert kind.load(**given) == expected
