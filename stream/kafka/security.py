"""Security: the addresses, TLS and SASL options of every Kafka client, from the settings."""

import asyncio
import math
import re
import ssl
import time
from base64 import urlsafe_b64decode
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from stream.errors import SettingsError
from stream.settings import KafkaSettings

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # a bearer token by RFC 6750


class FileToken(AbstractTokenProvider):  # type: ignore[misc]
    """A token provider that reads the file at each authentication, since tokens are rotated."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def token(self) -> str:
        """The current token.

        Raises KafkaConnectionError if there is none, so that the client retries: a file that is
        missing while it is replaced must not end a worker.
        """
        try:
            return await asyncio.to_thread(read_token, self._path)
        except SettingsError as error:
            raise KafkaConnectionError(str(error)) from None


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """The keyword arguments with which every aiokafka client connects and authenticates.

    Raises SettingsError for a certificate or token that cannot be read, and for a password or
    token that would cross a network in the clear.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap,
        "security_protocol": settings.security_protocol,
    }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(settings)
    if settings.security_protocol.startswith("SASL"):
        _require_tls_off_loopback(settings)
        options |= _sasl_options(settings)
    return options


def _sasl_options(settings: KafkaSettings) -> dict[str, Any]:
    if settings.sasl_mechanism == "OAUTHBEARER":
        assert settings.sasl_token_file is not None, "the settings are validated"
        read_token(settings.sasl_token_file)  # refuse to start without a token
        return {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_oauth_token_provider": FileToken(settings.sasl_token_file),
        }
    assert settings.sasl_password is not None, "the settings are validated"
    return {
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": settings.sasl_password.get_secret_value(),
    }


def read_token(path: Path) -> str:
    """The bearer token in a file. Raises SettingsError, without the token, if it is not valid."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise SettingsError(
            f"sasl_token_file: cannot read {path} ({error.strerror}); "
            "set LATELY_SASL_TOKEN_FILE to a file that holds the token"
        ) from error
    except UnicodeDecodeError:
        token = ""
    if not _TOKEN.fullmatch(token):
        raise SettingsError(
            f"sasl_token_file: {path} holds no bearer token; write the token into it and "
            "nothing else"
        )
    if (ended_s := time.time() - _expiry_s(token)) > 0:
        raise SettingsError(
            f"sasl_token_file: the token in {path} ended {ended_s:,.0f} s ago; write a fresh one"
        )
    return token


def _expiry_s(token: str) -> float:
    """When a JWT expires; infinity for another kind of token.

    aiokafka does not notice that a broker rejected a token, and would use a connection without
    authentication. So an expired token is not sent; the client waits for the next one.
    """
    try:
        _, claims, _ = token.split(".")
        return float(msgspec.json.decode(urlsafe_b64decode(claims + "=="))["exp"])
    except (ValueError, TypeError, KeyError, msgspec.MsgspecError):
        return math.inf


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """A context that trusts the given authorities, or the system's, and checks the host name.

    Raises SettingsError when a file is missing, or is not a certificate or key.
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


def _require_tls_off_loopback(settings: KafkaSettings) -> None:
    if settings.security_protocol != "SASL_PLAINTEXT":
        return
    for host, _ in settings.brokers:
        if not _is_loopback(host):
            raise SettingsError(
                f"security_protocol: SASL_PLAINTEXT would send our secret to {host} in the "
                "clear; set LATELY_SECURITY_PROTOCOL=SASL_SSL"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
