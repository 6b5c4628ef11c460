"""A broker that does not let us in: whatever the command, one line says why and what to set."""

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
from tests.stream.commands.shop import Said, Shop

NOWHERE = "127.0.0.1:1"
HOST_MISMATCH, IP_MISMATCH, SELF_SIGNED = 62, 64, 18  # of OpenSSL


@pytest.fixture
def lately(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., Said]:
    """Give the function that runs a command with settings, at an address where no Kafka is."""
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)
    shop = Shop(NOWHERE, "refused", monkeypatch, capsys)

    def run(*words: str, **settings: str) -> Said:
        for name, value in settings.items():
            monkeypatch.setenv(f"LATELY_{name.upper()}", value)
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)  # a command before may have set it
        said = shop.lately(*words)
        assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
        # Nor does the client log what went wrong, again and again: our line says the same.
        assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
        return said

    return run


@pytest.fixture
def ends_in(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], list[str]]:
    """Give the function that lets each connection end in an error, or be answered."""

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
def test_a_refusal_is_said_once_with_what_to_set(
    lately: Callable[..., Said],
    ends_in: Callable[[Any], list[str]],
    words_of_command: tuple[str, ...],
    error: Exception,
    words: str,
) -> None:
    asked = ends_in(error)

    said = lately(*words_of_command, **USER)

    assert words in said.err
    assert said.err.startswith(f"lately: {NOWHERE}: ")
    assert "secret" not in said.err
    assert len(asked) == 1  # a wrong password that is said again and again locks the account


def test_a_token_that_is_refused_is_looked_for_where_it_lies(
    lately: Callable[..., Said], ends_in: Callable[[Any], list[str]], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("abc")
    ends_in([])  # let in, and shown no broker: aiokafka does not see that a token was refused

    said = lately(
        "dead",
        "list",
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="OAUTHBEARER",
        sasl_token_file=str(token),
    )

    assert "refuses our token; check LATELY_SASL_TOKEN_FILE" in said.err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "check LATELY_SECURITY_PROTOCOL (PLAINTEXT)"),
        (USER, "check LATELY_SECURITY_PROTOCOL (SASL_PLAINTEXT)"),
        ({"security_protocol": "SSL"}, "may want a client certificate (LATELY_SSL_CERT_FILE"),
    ],
)
def test_a_broker_that_hangs_up_gives_reason_to_look_at_the_protocol(
    lately: Callable[..., Said],
    ends_in: Callable[[Any], list[str]],
    settings: dict[str, str],
    words: str,
) -> None:
    ends_in(KafkaConnectionError("closed"))

    assert words in lately("dead", "list", **settings).err


@pytest.mark.parametrize("outcome", [OSError("nobody there"), TimeoutError(), [0]])
def test_where_none_refuses_us_the_question_is_whether_it_runs(
    lately: Callable[..., Said], ends_in: Callable[[Any], list[str]], outcome: Any
) -> None:
    ends_in(outcome)

    assert "is it running? Set --bootstrap or LATELY_BOOTSTRAP" in lately("dead", "list").err


def test_each_broker_is_asked_once_by_its_own_address(
    lately: Callable[..., Said], ends_in: Callable[[Any], list[str]]
) -> None:
    asked = ends_in(OSError("nobody there"))

    lately("dead", "list", bootstrap="127.0.0.1:1, [::1]:2")

    assert asked == ["127.0.0.1 1", "::1 2"]


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    """Something at an address that is no Kafka: it answers so, and hangs up."""
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
def test_what_is_no_kafka_of_that_protocol_is_told_from_one_that_is_away(
    lately: Callable[..., Said], settings: dict[str, str], words: str
) -> None:
    with server(b"" if not settings else b"HTTP/1.1 400 Bad Request\r\n\r\n") as address:
        said = lately("dead", "list", bootstrap=address, **settings)

    assert words in said.err


def test_a_start_waits_for_a_broker_that_starts_beside_it_but_not_for_ever(
    lately: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.kafka.topics.TIMEOUT_S", 0.5)

    said = lately("topics")

    assert "no Kafka broker answers within" in said.err
    assert "start it or set --bootstrap" in said.err


def test_a_broker_that_never_answers_is_not_waited_for(
    lately: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def create_conn(host: str, port: int, **options: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(protocol, "create_conn", create_conn)
    monkeypatch.setattr(protocol, "PROBE_TIMEOUT_S", 0.05)

    assert "is it running?" in lately("dead", "list").err
