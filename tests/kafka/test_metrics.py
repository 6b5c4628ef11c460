"""What a worker on a real Kafka says of itself, to Prometheus and to probes."""

import json
import shutil
import subprocess

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage

pytestmark = pytest.mark.kafka


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (package prometheus)")
def test_promtool_has_nothing_to_say_of_a_worker_at_work(
    open_stage: OpenStage, load: MakeLoad
) -> None:
    stage = open_stage()
    worker = stage.start().wait_ready()
    stage.feed(load(0)[:2000])
    stage.wait_quiet()

    metrics = worker.text("/metrics")
    lint = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True, check=False
    )

    assert (lint.returncode, lint.stdout + lint.stderr) == (0, "")
    assert "lately_ready 1.0" in metrics
    assert 'lately_commits_total{result="ok"} 0.0' not in metrics
    assert "lately_recovery_seconds_count 0.0" not in metrics
    assert "lately_rebalances_total 1.0" in metrics
    assert "lately_state_bytes 0.0" not in metrics
    assert "lately_model_refused 0.0" in metrics
    assert json.loads(worker.text("/readyz")) == {"ready": True, "reasons": {}}
    assert json.loads(worker.text("/livez"))["live"] is True


def test_no_shopper_is_named_in_metrics_or_log(open_stage: OpenStage, load: MakeLoad) -> None:
    stage = open_stage({"log_level": "debug"})
    worker = stage.start().wait_ready()
    messages = load(0)[:2000]
    stage.feed(messages)
    stage.wait_quiet()

    said = worker.text("/metrics") + worker.tail(10**6)

    users = {message.key.decode() for message in messages if message.key and message.key.isascii()}
    assert len(users) > 100
    assert sorted(user for user in users if user in said) == []
