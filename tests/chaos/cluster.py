"""The cluster: the Kafka that a run mistreats, one broker for all or up to three of its own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from tests.chaos.link import Link
from tests.kafka.broker import Broker, free_port, new_cluster_id
from tests.kafka.client import Client
from tests.kafka.process import wait_until

Kind = Literal["shared", "own", "linked", "three"]
LINKS = ("a", "b")  # a worker of this name reaches the broker by a link of its own
_FAST = {"broker.session.timeout.ms": "3000"}  # a killed broker may come back after so long


class Cluster:
    """Brokers, and a client that reaches them past all that is done to the workers' way."""

    def __init__(self, brokers: list[Broker], links: dict[str, Link]) -> None:
        self.brokers = brokers
        self.links = links
        bootstrap = ",".join(broker.bootstrap for broker in brokers)
        self.client = Client(bootstrap, replication=len(brokers))

    @property
    def broker(self) -> Broker:
        """The first of them."""
        return self.brokers[0]

    def bootstrap_of(self, worker: str) -> str:
        """Where the worker of this name goes in."""
        link = self.links.get(worker)
        return f"127.0.0.1:{link.port}" if link else self.client.bootstrap

    def close(self) -> None:
        """End it."""
        self.client.close()
        for link in self.links.values():
            link.close()
        for broker in self.brokers:
            broker.stop()


@contextmanager
def cluster(kind: Kind, folder: Path) -> Iterator[Cluster]:
    """Start the brokers of a kind; their data is removed in the end."""
    brokers, links = _make(kind, folder)
    running: Cluster | None = None
    try:
        for broker in brokers:
            broker.start(wait=False)
        for broker in brokers:
            broker.wait_listening()
        running = Cluster(brokers, links)
        yield running
    finally:
        if running is not None:
            running.close()
        else:
            for broker in brokers:
                broker.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _make(kind: Kind, folder: Path) -> tuple[list[Broker], dict[str, Link]]:
    if kind == "three":
        return _three(folder), {}
    broker = Broker(folder / "kafka", _FAST)
    if kind != "linked":
        return [broker], {}
    return [broker], _link(broker)


def _link(broker: Broker) -> dict[str, Link]:
    """Give the broker a listener for each link, which it advertises at the link's port."""
    ports = {name: free_port() for name in LINKS}
    links = {name: Link(port) for name, port in ports.items()}
    listeners = {f"LINK{name.upper()}": name for name in LINKS}
    names = ["PLAINTEXT", "CONTROLLER", *listeners]
    broker.configure(
        {
            "listeners": ",".join(
                [
                    f"PLAINTEXT://{broker.bootstrap}",
                    f"CONTROLLER://{broker.controller}",
                    *(f"{name}://127.0.0.1:{ports[link]}" for name, link in listeners.items()),
                ]
            ),
            "advertised.listeners": ",".join(
                [
                    f"PLAINTEXT://{broker.bootstrap}",
                    *(f"{name}://127.0.0.1:{links[link].port}" for name, link in listeners.items()),
                ]
            ),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in names),
            "inter.broker.listener.name": "PLAINTEXT",
        }
    )
    return links


def _three(folder: Path) -> list[Broker]:
    """Three brokers, each a controller too; what two of them have is acknowledged."""
    cluster_id = new_cluster_id()
    brokers = [Broker(folder / f"kafka-{n}", _FAST, cluster_id) for n in (1, 2, 3)]
    voters = ",".join(f"{n}@{broker.controller}" for n, broker in enumerate(brokers, start=1))
    for number, broker in enumerate(brokers, start=1):
        broker.configure(
            {
                "node.id": str(number),
                "controller.quorum.voters": voters,
                "min.insync.replicas": "2",
                "default.replication.factor": "3",
                "offsets.topic.replication.factor": "3",
                "transaction.state.log.replication.factor": "3",
            }
        )
    return brokers


def wait_for_brokers(running: Cluster, count: int, timeout_s: float = 60.0) -> None:
    """Wait until the cluster says that it has so many brokers."""
    if not wait_until(lambda: running.client.brokers() >= count, timeout_s):
        raise AssertionError(f"the cluster has not {count} brokers after {timeout_s:g} s")
