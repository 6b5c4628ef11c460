"""TLS and SASL settings become client options, or one line that says what is wrong."""

import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from stream.errors import SettingsError
from stream.security import client_options, ssl_context
from stream.settings import KafkaSettings

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
