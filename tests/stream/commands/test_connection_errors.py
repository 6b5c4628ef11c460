"""Connection errors: every command reports one line that names the cause and the setting."""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from stream.kafka import protocol
from stream.settings import WorkerSettings
from tests.stream.commands.shop import Result, Shop

NOWHERE = "127.0.0.1:1"
HOST_MISMATCH, IP_MISMATCH, SELF_SIGNED = 62, 64, 18  # of OpenSSL


@pytest.fixture
def lately(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., Result]:
    """A function that runs a command with settings, at an address where no Kafka listens."""
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)
    shop = Shop(NOWHERE, "unreachable", monkeypatch, capsys)

    def run(*words: str, **settings: str) -> Result:
        for name, value in settings.items():
            monkeypatch.setenv(f"LATELY_{name.upper()}", value)
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)  # an earlier command may have set it
        result = shop.lately(*words)
        assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
        # The client's own log stays quiet: our line is the only one.
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
        return result

    return run


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[str]]:
    """A function that makes each connection fail with an error, or get an answer."""

    def arrange(outcome: Any) -> list[str]:
        asked: list[str] = []

        async def create_conn(host: str, port: int, **options: Any) -> Any:
            asked.append(f"{host} {port}")
            if isinstance(outcome, Exception):
                raise outcome
            return SimpleNamespace(send=lambda request: answered(), close=lambda: None)

        async def answered() -> Any:
            return SimpleNamespace(brokers=outcome)

        monkeypatch.setattr(protocol, "create_conn", create_conn)
        return asked

    return arrange


def untrusted(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("")
    error.verify_code, error.verify_message = code, "as OpenSSL says it"
    return error


def no_tls() -> ssl.SSLError:
    error = ssl.SSLError()
    error.reason = "WRONG_VERSION_NUMBER"
    return error


USER = {"security_protocol": "SASL_PLAINTEXT", "sasl_username": "u", "sasl_password": "secret"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (untrusted(HOST_MISMATCH), "is for another host (as OpenSSL says it); set --bootstrap"),
        (untrusted(IP_MISMATCH), "is for another host (as OpenSSL says it); set --bootstrap"),
        (untrusted(SELF_SIGNED), "is not trusted (as OpenSSL says it); set LATELY_SSL_CA_FILE"),
        (no_tls(), "no TLS with the broker (WRONG_VERSION_NUMBER); check LATELY_SECURITY_PROTOCOL"),
        (SaslAuthenticationFailed(), "refuses our user and password by PLAIN"),
        (IllegalSaslStateError(), "does not use SASL on this port; set LATELY_SECURITY_PROTOCOL"),
        (UnsupportedSaslMechanismError(), "does not support PLAIN; set LATELY_SASL_MECHANISM"),
    ],
)
@pytest.mark.parametrize(
    "words_of_command",
    [("forget", "ann", "--no-wait"), ("dead", "list"), ("watch",), ("topics",)],
    ids=lambda words: words[0],
)
def test_connection_error_is_one_line_with_the_setting_to_fix(
    lately: Callable[..., Result],
    connections: Callable[[Any], list[str]],
    words_of_command: tuple[str, ...],
    error: Exception,
    words: str,
) -> None:
    asked = connections(error)

    result = lately(*words_of_command, **USER)

    assert words in result.err
    assert result.err.startswith(f"lately: {NOWHERE}: ")
    assert "secret" not in result.err
    assert len(asked) == 1  # repeated wrong passwords lock the account


def test_rejected_token_names_the_token_file_setting(
    lately: Callable[..., Result], connections: Callable[[Any], list[str]], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    connections([])  # an answer without brokers: aiokafka does not report a rejected token

    result = lately(
        "dead",
        "list",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        sasl_token_file=str(token),
    )

    assert "refuses our token; check LATELY_SASL_TOKEN_FILE" in result.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "check LATELY_SECURITY_PROTOCOL (PLAINTEXT)"),
        (USER, "check LATELY_SECURITY_PROTOCOL (SASL_PLAINTEXT)"),
        ({"security_protocol": "SSL"}, "may want a client certificate (LATELY_SSL_CERT_FILE"),
    ],
)
def test_closed_connection_advises_checking_the_security_protocol(
    lately: Callable[..., Result],
    connections: Callable[[Any], list[str]],
    settings: dict[str, str],
    words: str,
) -> None:
    connections(KafkaConnectionError("closed"))

    assert words in lately("dead", "list", **settings).err


@pytest.mark.parametrize("outcome", [OSError("nobody there"), TimeoutError(), [0]])
def test_unreachable_broker_asks_whether_it_is_running(
    lately: Callable[..., Result], connections: Callable[[Any], list[str]], outcome: Any
) -> None:
    connections(outcome)

    assert "is it running? Set --bootstrap or LATELY_BOOTSTRAP" in lately("dead", "list").err


def test_each_broker_is_probed_once(
    lately: Callable[..., Result], connections: Callable[[Any], list[str]]
) -> None:
    asked = connections(OSError("nobody there"))

    lately("dead", "list", bootstrap="127.0.0.1:1, [::1]:2")

    assert asked == ["127.0.0.1 1", "::1 2"]


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    """A server that is not Kafka: it sends this answer and closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(1000)
                client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"security_protocol": "SSL"}, "no TLS with the broker"),
        ({}, "check LATELY_SECURITY_PROTOCOL (PLAINTEXT)"),
    ],
)
def test_server_that_does_not_speak_kafka_is_not_reported_as_unreachable(
    lately: Callable[..., Result], settings: dict[str, str], words: str
) -> None:
    with server(b"" if not settings else b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        result = lately("dead", "list", bootstrap=address, **settings)

    assert words in result.err


def test_topics_command_gives_up_on_a_broker_after_its_timeout(
    lately: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.kafka.topics.TIMEOUT_S", 0.5)

    result = lately("topics")

    assert "no Kafka broker answers within" in result.err
    assert "start it or set --bootstrap" in result.err


def test_probe_of_a_silent_broker_times_out(
    lately: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create_conn(host: str, port: int, **options: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(protocol, "create_conn", create_conn)
    monkeypatch.setattr(protocol, "PROBE_TIMEOUT_S", 0.05)

    assert "is it running?" in lately("dead", "list").err
