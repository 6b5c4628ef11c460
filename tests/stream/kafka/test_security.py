"""TLS and SASL settings become client options, or one line that says what is wrong."""

import asyncio
import json
import ssl
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr

from stream.errors import SettingsError
from stream.group.faust_app import build_app
from stream.kafka.security import client_options, ssl_context
from stream.settings import KafkaSettings, WorkerSettings

NOT_A_CERTIFICATE = "this is no PEM file\n"


def sasl(bootstrap: str, protocol: str) -> KafkaSettings:
    return KafkaSettings.load(
        bootstrap=bootstrap,
        security_protocol=protocol,
        sasl_username="lately",
        sasl_password=SecretStr("canary"),
    )


def test_plaintext_needs_an_address_and_nothing_else() -> None:
    assert client_options(KafkaSettings(bootstrap="kafka:9092")) == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "PLAINTEXT",
    }


def test_tls_checks_the_certificate_and_the_name_of_the_host() -> None:
    context = client_options(KafkaSettings(security_protocol="SSL"))["ssl_context"]

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_sasl_over_tls_carries_user_password_and_context() -> None:
    options = client_options(sasl("kafka.example:9093", "SASL_SSL"))

    assert options["sasl_mechanism"] == "PLAIN"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("lately", "canary")
    assert isinstance(options["ssl_context"], ssl.SSLContext)


@pytest.mark.parametrize("bootstrap", ["localhost:9092", "127.0.0.1:9092,[::1]:9092"])
def test_a_password_may_go_in_the_clear_over_loopback(bootstrap: str) -> None:
    assert "sasl_plain_password" in client_options(sasl(bootstrap, "SASL_PLAINTEXT"))


@pytest.mark.parametrize("bootstrap", ["kafka.example:9092", "localhost:9092,10.0.0.7:9092"])
def test_a_password_in_the_clear_over_a_network_is_refused(bootstrap: str) -> None:
    with pytest.raises(SettingsError, match="in the clear; set LATELY_SECURITY_PROTOCOL=SASL_SSL"):
        client_options(sasl(bootstrap, "SASL_PLAINTEXT"))


@pytest.mark.parametrize("content", [None, NOT_A_CERTIFICATE])
@pytest.mark.parametrize("field", ["ssl_ca_file", "ssl_cert_file"])
def test_a_file_that_is_missing_or_no_certificate_is_named(
    tmp_path: Path, field: str, content: str | None
) -> None:
    path = tmp_path / "file.pem"
    if content is not None:
        path.write_text(content)
    settings = KafkaSettings.load(security_protocol="SSL", **{field: path})

    with pytest.raises(SettingsError, match=rf"{field}: cannot load .*file\.pem"):
        ssl_context(settings)


def test_a_key_without_its_certificate_is_refused(tmp_path: Path) -> None:
    settings = KafkaSettings(security_protocol="SSL", ssl_key_file=tmp_path / "key.pem")

    with pytest.raises(SettingsError, match="ssl_key_file: a key without its certificate"):
        ssl_context(settings)


def bearer(file: Path, protocol: str = "SASL_SSL", bootstrap: str = "k:9093") -> KafkaSettings:
    return KafkaSettings.load(
        bootstrap=bootstrap,
        security_protocol=protocol,
        sasl_mechanism="OAUTHBEARER",
        sasl_token_file=file,
    )


def jwt(ends_in_s: float) -> str:
    claims = json.dumps({"sub": "lately", "exp": time.time() + ends_in_s}).encode()
    return f"e30.{urlsafe_b64encode(claims).decode().rstrip('=')}.signature"


def test_a_token_is_read_again_at_each_authentication(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    provider = client_options(bearer(file))["sasl_oauth_token_provider"]
    assert asyncio.run(provider.token()) == "first"

    file.write_text("second")

    assert asyncio.run(provider.token()) == "second"


def test_a_token_that_goes_missing_is_a_connection_that_fails_and_comes_again(
    tmp_path: Path,
) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    provider = client_options(bearer(file))["sasl_oauth_token_provider"]

    file.unlink()

    with pytest.raises(KafkaConnectionError, match="cannot read"):
        asyncio.run(provider.token())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read"),
        (b"", "holds no bearer token"),
        (b"canary\x01auth=other", "holds no bearer token"),
        (b"canary canary", "holds no bearer token"),
        (b"canary\xff", "holds no bearer token"),
        (jwt(-90.0).encode(), r"ended \d+ s ago; write a fresh one"),
    ],
    ids=["missing", "empty", "control", "space", "bytes", "ended"],  # a name may hold no time
)
def test_what_is_no_token_is_refused_and_not_shown(
    tmp_path: Path, content: bytes | None, said: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SettingsError, match=f"sasl_token_file: .*{said}") as refusal:
        client_options(bearer(file))

    assert "canary" not in str(refusal.value)


def test_a_token_that_has_not_ended_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(jwt(3600.0))

    assert client_options(bearer(file))["sasl_mechanism"] == "OAUTHBEARER"


def test_a_token_in_the_clear_over_a_network_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("canary")

    with pytest.raises(SettingsError, match="in the clear"):
        client_options(bearer(file, "SASL_PLAINTEXT", "kafka.example:9092"))


def test_oauthbearer_without_a_token_is_refused() -> None:
    with pytest.raises(SettingsError, match="there is no token; set LATELY_SASL_TOKEN_FILE"):
        KafkaSettings.load(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER")


def test_fausts_own_consumer_is_refused_where_every_other_client_is(tmp_path: Path) -> None:
    settings = WorkerSettings.load(
        artifact=tmp_path,
        state_dir=tmp_path,
        bootstrap="kafka.example:9092",
        security_protocol="SASL_PLAINTEXT",
        sasl_username="lately",
        sasl_password=SecretStr("canary"),
    )

    with pytest.raises(SettingsError, match="in the clear"):
        build_app(settings, partitions=1, instance_id="a")


def test_fausts_own_consumer_speaks_tls_with_sasl(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("token")
    for extra in (
        {"sasl_mechanism": "OAUTHBEARER", "sasl_token_file": file},
        {"sasl_username": "lately", "sasl_password": SecretStr("canary")},
    ):
        settings = WorkerSettings.load(
            artifact=tmp_path, state_dir=tmp_path, security_protocol="SASL_SSL", **extra
        )

        credentials = build_app(settings, partitions=1, instance_id="a").conf.broker_credentials

        # Faust's credentials without a context would quietly be SASL_PLAINTEXT.
        assert credentials is not None
        assert credentials.protocol.value == "SASL_SSL"
        assert credentials.ssl_context.check_hostname  # type: ignore[attr-defined]
