"""How every Kafka client of ours gets in: addresses, TLS and SASL, from the settings."""

import ssl
from ipaddress import ip_address
from typing import Any

from stream.errors import SettingsError
from stream.settings import KafkaSettings


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments that every aiokafka client takes to reach and enter Kafka.

    Raises SettingsError for a certificate that cannot be read, and for a password that would
    cross a network in the clear.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        _refuse_clear_password(settings)
        assert settings.sasl_password is not None, "the settings are validated"
        options["sasl_mechanism"] = settings.sasl_mechanism
        options["sasl_plain_username"] = settings.sasl_username
        options["sasl_plain_password"] = settings.sasl_password.get_secret_value()
    return options


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Trust the given authorities, or the system's, and check the name of the host.

    Raises SettingsError when a file is missing or is no certificate or key.
    """
    if settings.ssl_key_file and not settings.ssl_cert_file:
        raise SettingsError(
            "ssl_key_file: a key without its certificate; set LATELY_SSL_CERT_FILE as well"
        )
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=settings.ssl_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"ssl_ca_file: cannot load {settings.ssl_ca_file} ({_why(error)}); "
            "set LATELY_SSL_CA_FILE to a PEM file of authorities"
        ) from error
    if settings.ssl_cert_file:
        try:
            context.load_cert_chain(settings.ssl_cert_file, settings.ssl_key_file)
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(
                f"ssl_cert_file: cannot load {settings.ssl_cert_file} ({_why(error)}); set "
                "LATELY_SSL_CERT_FILE and LATELY_SSL_KEY_FILE to PEM files that belong together"
            ) from error
    return context


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _refuse_clear_password(settings: KafkaSettings) -> None:
    if settings.security_protocol != "SASL_PLAINTEXT":
        return
    for broker in settings.bootstrap.split(","):
        host = broker.strip().rpartition(":")[0].strip("[]")
        if not _is_loopback(host):
            raise SettingsError(
                f"security_protocol: SASL_PLAINTEXT would send the password to {host} in the "
                "clear; set LATELY_SECURITY_PROTOCOL=SASL_SSL"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
