"""A real Prometheus scrapes a worker's metrics, and every panel shows something."""

import asyncio
import json
import shutil
import socket
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.grafana import dashboard
from stream.addresses import Address
from stream.demo.child_process import Child
from stream.health import Health
from stream.metrics import Metrics
from stream.worker.http import HealthServer
from tests.deploy.test_monitoring import PROMETHEUS, alerts

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs the prometheus binary (package prometheus)"
)
SCRAPES = 6  # a rate needs two; more of them make it steady
DEADLINE_S = 60.0


class BusyWorker:
    """The metrics of a worker under load, behind the worker's own HTTP server, in a thread."""

    def __init__(self) -> None:
        self._metrics = Metrics(CollectorRegistry())
        self._loop = asyncio.new_event_loop()
        self._server = HealthServer(
            Address("127.0.0.1", 0), Health(time.monotonic()), self._metrics
        )
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> int:
        """Serve, and return the port."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._server.start(), self._loop).result(DEADLINE_S)
        self._loop.call_soon_threadsafe(self._work)
        return self._server.port

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop).result(DEADLINE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE_S)
        self._loop.close()

    def _work(self) -> None:
        metrics = self._metrics
        for counters in (
            metrics.events,
            metrics.scores,
            metrics.scored_items,
            metrics.dead_letters,
            metrics.commits,
            metrics.rebuilds,
        ):
            for counter in counters.values():
                counter.inc()
        for histogram in (
            metrics.event_to_score,
            metrics.batch_wait,
            metrics.inference,
            metrics.batch_users,
            metrics.recovery,
        ):
            histogram.observe_many([0.01, 0.2, 3.0])
        metrics.duplicates_skipped.inc()
        for gauge in (metrics.lag, metrics.committed_lag, metrics.lag_seconds):
            gauge.set({0: 7})
        metrics.rebalances.inc()
        metrics.set_model("demo", "1", "cpu", time.time() - 3600)
        self._loop.call_later(0.05, self._work)


class Prometheus:
    """A Prometheus with our own configuration, pointed at one port and in a hurry."""

    def __init__(self, folder: Path, target_port: int) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{listener.getsockname()[1]}"
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": "200ms", "evaluation_interval": "1s"}
        config["rule_files"] = [str(PROMETHEUS / "rules.yml")]
        config["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{target_port}"]}]
        path = folder / "prometheus.yml"
        path.write_text(yaml.safe_dump(config))
        self._command = [
            "prometheus",
            f"--config.file={path}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self._address}",
        ]

    def start(self) -> Child:
        """Start it, and wait until it has scraped enough."""
        child = Child(self._command)
        try:
            deadline = time.monotonic() + DEADLINE_S
            while self._scrapes() < SCRAPES:
                assert child.exit_code is None, child.last_lines()
                assert time.monotonic() < deadline, "Prometheus does not scrape"
                time.sleep(0.1)
        except BaseException:
            child.stop()
            raise
        return child

    def query(self, expression: str) -> list[Any]:
        """What an expression gives now; raises when Prometheus does not understand it."""
        query = urllib.parse.urlencode({"query": expression})
        with urllib.request.urlopen(f"http://{self._address}/api/v1/query?{query}") as response:
            return list(json.load(response)["data"]["result"])

    def _scrapes(self) -> int:
        try:
            (sample,) = self.query('count_over_time(up{job="lately"}[1m])')
        except (OSError, ValueError):
            return 0
        return int(sample["value"][1])


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    worker = BusyWorker()
    try:
        server = Prometheus(tmp_path_factory.mktemp("prometheus"), worker.start())
        child = server.start()
        yield server
        child.stop()
    finally:
        worker.stop()


def filled(expression: str) -> str:
    return expression.replace("$__rate_interval", "10s").replace("$instance", ".*")


@pytest.mark.parametrize("expression", dashboard.expressions())
def test_every_panel_shows_something(prometheus: Prometheus, expression: str) -> None:
    assert prometheus.query(filled(expression))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_is_understood(prometheus: Prometheus, alert: dict[str, Any]) -> None:
    assert isinstance(prometheus.query(alert["expr"]), list)
