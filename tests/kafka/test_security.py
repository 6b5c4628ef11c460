"""TLS, mutual TLS and SASL on a real Kafka with real certificates: who gets in and who not."""

import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.client import Client
from tests.kafka.process import wait_until
from tests.kafka.secure_broker import PASSWORD, SecureBroker
from tests.kafka.secure_stage import SecureStage
from tests.kafka.test_failures import NOW_MS, click
from tests.kafka.worker import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

END_S = 60.0
CANARY = "canary-user-91d2"


@pytest.fixture
def stage(
    secure_broker: SecureBroker, secure_client: Client, artifact: Path, tmp_path: Path
) -> Iterator[SecureStage]:
    """Topics on the secure broker that no other test has."""
    name = f"secure-{uuid.uuid4().hex[:6]}"
    stage = SecureStage(secure_broker, secure_client, name, tmp_path, artifact)
    stage.open()
    yield stage
    stage.close()


def mutual(broker: SecureBroker) -> Settings:
    ours = broker.client_certificate
    files = {"ssl_cert_file": str(ours.certificate), "ssl_key_file": str(ours.key)}
    return broker.tls() | files


def token(broker: SecureBroker, folder: Path, text: str | None = None) -> Settings:
    file = folder / "token"
    file.write_text(text or broker.tokens.token("oauth"))
    return broker.bearer(file)


def way_in(broker: SecureBroker, way: str, folder: Path) -> tuple[str, Settings]:
    """The listener and the settings of one way to come in rightly."""
    if way == "tls":
        return "tls", broker.tls()
    if way == "mutual-tls":
        return "mtls", mutual(broker)
    if way == "OAUTHBEARER":
        return "sasl", token(broker, folder)
    users = {"PLAIN": "plain", "SCRAM-SHA-256": "scram256", "SCRAM-SHA-512": "scram512"}
    return "sasl", broker.sasl(way, users[way])


@pytest.mark.parametrize(
    "way", ["tls", "mutual-tls", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]
)
def test_every_client_of_ours_comes_in(
    stage: SecureStage, secure_broker: SecureBroker, artifact: Path, tmp_path: Path, way: str
) -> None:
    address, settings = way_in(secure_broker, way, tmp_path)
    log = tmp_path / "events.jsonl"
    event = {"user_id": "u1", "item_id": items_of(artifact)[0], "action": "click", "ts": NOW_MS}
    log.write_text(json.dumps(event))
    fit = stage.command(address, settings, "topics", "--json")
    sent = stage.command(address, settings, "replay", str(log), "--speed", "max")
    assert (fit.returncode, sent.returncode) == (0, 0), fit.stderr + sent.stderr

    worker = stage.enter(address, settings).wait_ready()
    stage.wait_committed()
    worker.stop()

    assert [score.key for score in stage.client.read(stage.scores)] == [b"u1"]


@pytest.fixture
def refused(
    stage: SecureStage, secure_broker: SecureBroker, tmp_path: Path, request: pytest.FixtureRequest
) -> tuple[str, Settings]:
    """The listener and the settings of one way to come in wrongly."""
    broker = secure_broker
    good = broker.tokens.token("oauth")
    wrong_password = tmp_path / "password"
    wrong_password.write_text("canary-of-another")
    theirs = broker.foreign_certificate
    foreign = {"ssl_cert_file": str(theirs.certificate), "ssl_key_file": str(theirs.key)}
    ways: dict[str, tuple[str, Settings]] = {
        "another authority": (
            "tls",
            broker.tls() | {"ssl_ca_file": str(broker.stranger.certificate)},
        ),
        "another host": ("elsewhere", broker.tls()),
        "no client certificate": ("mtls", broker.tls()),
        "a foreign client certificate": ("mtls", broker.tls() | foreign),
        "an expired token": ("sasl", token(broker, tmp_path, broker.tokens.token("oauth", -60))),
        "no TLS": ("tls", {}),
    }
    for mechanism, user in (("PLAIN", "plain"), ("SCRAM-SHA-256", "scram256")):
        settings = broker.sasl(mechanism, user) | {"sasl_password_file": str(wrong_password)}
        ways[f"a wrong password by {mechanism}"] = ("sasl", settings)
    if request.param == "a forged token":
        return "sasl", token(broker, tmp_path, good[:-8] + "AAAAAAAA")
    return ways[request.param]


@pytest.mark.parametrize(
    ("refused", "code", "said"),
    [
        ("another authority", 1, "certificate is not trusted"),
        ("another host", 1, "certificate is for another host"),
        ("no client certificate", 1, "may want a client certificate"),
        ("a foreign client certificate", 1, "may want a client certificate"),
        ("a wrong password by PLAIN", 1, "refuses our user and password by PLAIN"),
        ("a wrong password by SCRAM-SHA-256", 1, "refuses our user and password by SCRAM-SHA-256"),
        ("a forged token", 1, "refuses our token"),
        ("an expired token", 2, r"ended \d+ s ago; write a fresh one"),
        ("no TLS", 1, "check LATELY_SECURITY_PROTOCOL"),
    ],
    indirect=["refused"],
)
def test_whoever_is_refused_ends_in_one_line_and_commits_nothing(
    stage: SecureStage, artifact: Path, refused: tuple[str, Settings], code: int, said: str
) -> None:
    stage.feed([click("u1", items_of(artifact)[0])])

    worker = stage.enter(*refused)
    found = worker.wait(END_S)

    errors = worker.errors.read_text(encoding="utf-8")
    assert found == code, worker.tail()
    assert errors.startswith("lately: ")
    assert errors.count("\n") == 1, errors
    assert re.search(said, errors), errors
    assert "canary" not in errors
    assert stage.client.committed(stage.group, stage.events) == {}
    assert stage.progress() == 0


def test_a_worker_outlives_its_token_when_the_file_holds_the_next(
    stage: SecureStage, secure_broker: SecureBroker, artifact: Path, tmp_path: Path
) -> None:
    # The broker ends a connection when its token does; the worker then comes in by the next one.
    lives_s = 90
    ends_s = time.time() + lives_s
    settings = token(secure_broker, tmp_path, secure_broker.tokens.token("oauth", lives_s))
    item = items_of(artifact)[0]
    worker = stage.enter("sasl", settings).wait_ready()
    stage.feed([click("u1", item)])
    stage.wait_committed()
    token(secure_broker, tmp_path)

    assert wait_until(lambda: time.time() > ends_s or worker.exit_code is not None, 2 * lives_s)
    stage.feed([click("u2", item, NOW_MS + 1)])
    stage.wait_committed()

    assert {score.key for score in stage.client.read(stage.scores)} == {b"u1", b"u2"}
    worker.stop()


def test_canaries_reach_no_log_no_metric_and_no_settings_page(
    stage: SecureStage, secure_broker: SecureBroker, artifact: Path
) -> None:
    item = items_of(artifact)[0]
    settings = secure_broker.sasl("SCRAM-SHA-256", "scram256") | {"log_level": "debug"}
    good = click(CANARY, item)
    raw, ts = CANARY.encode(), b'"ts": %d}' % NOW_MS
    bad = [
        good._replace(value=value)
        for value in (
            b"no JSON: " + raw,
            b'"' + raw + b"\xff",
            b'{"user_id": "' + raw + b'", "item_id": 7, "action": "click", ' + ts,
            b'{"user_id": "' + raw + b'", "item_id": "i", "action": "' + raw + b'", ' + ts,
            b'{"user_id": "' + raw + b'", "item_id": "i", "action": "click", "ts": "' + raw + b'"}',
            b'{"user_id": "other", "item_id": "i", "action": "click", ' + ts,
        )
    ]
    forget = good._replace(value=json.dumps({"user_id": CANARY, "action": "forget"}).encode())
    stage.feed([good, *bad, forget, good])

    worker = stage.enter("sasl", settings).wait_ready()
    stage.wait_committed()
    metrics = worker.text("/metrics")
    page = stage.command("sasl", settings, "config", "show").stdout
    page += stage.command("sasl", settings, "config", "show", "--json").stdout
    worker.stop()

    # They were there: the events are scored, and the bad ones dead.
    assert f'lately_dead_letters_total{{reason="not_json"}} {1.0}' in metrics
    assert len(stage.client.read(stage.dead)) == len(bad)
    logs = worker.log.read_text(encoding="utf-8") + worker.errors.read_text(encoding="utf-8")
    assert "faust" in logs  # libraries are heard when debugging
    assert "scram256" in page
    for canary in (CANARY, PASSWORD):
        assert canary not in logs
        assert canary not in metrics
        assert canary not in page


def test_a_worker_that_fails_by_a_shoppers_id_does_not_say_it(
    stage: SecureStage, secure_broker: SecureBroker, artifact: Path
) -> None:
    settings = secure_broker.sasl("SCRAM-SHA-256", "scram256") | {"log_level": "debug"}
    stage.feed([click(CANARY, items_of(artifact)[0])])

    worker = stage.enter("sasl", settings, mutant="talkative")
    code = worker.wait(END_S)

    logs = worker.log.read_text(encoding="utf-8") + worker.errors.read_text(encoding="utf-8")
    assert code == 1, logs
    assert "lately: KeyError at mutants.py:" in logs
    assert "Traceback" in logs  # of debug: the lines of code, without their values
    assert CANARY not in logs
    assert PASSWORD not in logs
    assert stage.client.committed(stage.group, stage.events) == {}
