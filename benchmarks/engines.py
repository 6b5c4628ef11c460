"""The engines: how each is started on the same job, in its own process."""

import socket
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

PENDING_USERS = 5_000
USERS = 6 * PENDING_USERS  # round robin over four partitions


class Job(NamedTuple):
    """The topics, group and state directory of an engine in one run."""

    bootstrap: str
    source: str
    output: str
    group: str
    partitions: int
    state_dir: Path


class Start(NamedTuple):
    """A command and its environment variables."""

    command: list[str]
    environment: dict[str, str]


class Engine(NamedTuple):
    """An engine; ``share`` is the share of the log that it processes, so that it ends in time."""

    name: str
    start: Callable[[Job], Start]
    share: float = 1.0


def start_lately(job: Job, artifact: Path | None = None) -> Start:
    """Start the worker, with the model of an artifact or without a model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        http = f"127.0.0.1:{probe.getsockname()[1]}"
    flags = {
        "--bootstrap": job.bootstrap,
        "--state-dir": str(job.state_dir),
        "--artifact": str(artifact or job.state_dir),  # not read without a model
        "--scorer": "onnx" if artifact else "null",
        "--http": http,
    }
    return Start(
        [sys.executable, "-m", "stream", "worker", *chain.from_iterable(flags.items())],
        {
            "LATELY_EVENTS_TOPIC": job.source,
            "LATELY_SCORES_TOPIC": job.output,
            "LATELY_DEAD_TOPIC": f"{job.source}.dead",
            "LATELY_RECEIPTS_TOPIC": f"{job.source}.receipts",
            "LATELY_GROUP": job.group,
            "LATELY_LOG_LEVEL": "warning",
            # Fewer than the users of one partition, so that no user has two events pending.
            "LATELY_MAX_PENDING_USERS": str(PENDING_USERS),
        },
    )


def _python(module: str) -> Callable[[Job], Start]:
    def start(job: Job) -> Start:
        names = [job.bootstrap, job.source, job.output, job.group, str(job.state_dir)]
        return Start([sys.executable, "-m", module, *names, str(job.partitions)], {})

    return start


LATELY = Engine("Lately", start_lately)
STOCK = Engine("stock Faust", _python("benchmarks.stock_faust"), share=0.1)
QUIX = Engine("Quix Streams", _python("benchmarks.quix"))
