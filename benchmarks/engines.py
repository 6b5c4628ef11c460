"""The engines: how each is started on the same job, in a process of its own."""

import socket
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

PENDING_USERS = 5_000
USERS = 6 * PENDING_USERS  # round robin over four partitions


class Job(NamedTuple):
    """What an engine reads, writes and is called, in one run."""

    bootstrap: str
    source: str
    output: str
    group: str
    partitions: int
    state_dir: Path


class Start(NamedTuple):
    """A command, and what it needs in its environment."""

    command: list[str]
    environment: dict[str, str]


class Engine(NamedTuple):
    """One way to do the job; ``share`` is how much of the log it gets, so that it ends in time."""

    name: str
    start: Callable[[Job], Start]
    share: float = 1.0


def start_lately(job: Job, artifact: Path | None = None) -> Start:
    """The worker, with the model of an artifact or with none."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        http = f"127.0.0.1:{probe.getsockname()[1]}"
    flags = {
        "--bootstrap": job.bootstrap,
        "--state-dir": str(job.state_dir),
        "--artifact": str(artifact or job.state_dir),  # not read where there is no model
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
            # Fewer than the users of one partition, so that nobody comes twice while waiting.
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
