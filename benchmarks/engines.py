"""The engines: how each is started on the same job, in its own process."""

import socket
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import orjson

from benchmarks.checking import Changelog
from benchmarks.peers import kafka_streams, snapshots
from benchmarks.peers.compact import Action, actions_of
from benchmarks.workloads import States, of_user
from stream.user_state import UserState

PENDING_USERS = 5_000
FOLDED_AT_ONCE = 1_250  # users of one partition that may come on top of those


class Job(NamedTuple):
    """The topics, group and state directory of an engine in one run.

    ``pending_users`` is how many users may wait in Lately: fewer than one partition has, so that
    no user has two events pending when users take turns.
    """

    bootstrap: str
    source: str
    output: str
    group: str
    partitions: int
    state_dir: Path
    pending_users: int = PENDING_USERS


def pending_users(users: int, partitions: int) -> int:
    """How many users may wait in Lately, so that nobody has two events pending; 0 if that fails."""
    return max(0, min(PENDING_USERS, users // partitions - FOLDED_AT_ONCE))


class Start(NamedTuple):
    """A command and its environment variables."""

    command: list[str]
    environment: dict[str, str]


class Engine(NamedTuple):
    """An engine; ``share`` is the share of the log that it processes, so that it ends in time.

    Its states are in a changelog, or in what ``recovery`` reads from its folder. One that
    ``merges`` gives one output for all events of a user that are pending together. One that does
    not commit to Kafka keeps its offsets with its states.
    """

    name: str
    start: Callable[[Job], Start]
    share: float = 1.0
    merges: bool = False
    commits: bool = True
    changelog: Changelog | None = None
    recovery: Callable[[Path], States] | None = None


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
            "LATELY_MAX_PENDING_USERS": str(job.pending_users),
        },
    )


def start_python(job: Job) -> Start:
    """Start the worker with Python doing all the work, as where the core is not installed."""
    start = start_lately(job)
    return Start(start.command, start.environment | {"LATELY_CORE": "python"})


def _lately_state(key: bytes, value: bytes) -> tuple[str, list[Action]]:
    state = UserState.from_bytes(value)
    kinds = (state.action_types[code] for code in state.actions)
    return key.decode(), of_user(zip(state.items, kinds, state.times_ms, strict=True))


def _python(module: str, interpreter: str | Path = sys.executable) -> Callable[[Job], Start]:
    def start(job: Job) -> Start:
        names = [job.bootstrap, job.source, job.output, job.group, str(job.state_dir)]
        return Start([str(interpreter), "-m", module, *names, str(job.partitions)], {})

    return start


def start_kafka_streams(job: Job, java: Sequence[str] = kafka_streams.JAVA) -> Start:
    """Start the compiled job in a virtual machine of its own."""
    names = (job.bootstrap, job.source, job.output, job.group, str(job.state_dir))
    return Start(kafka_streams.command(*names, java=tuple(java)), {})


def _json_state(key: bytes, value: bytes) -> tuple[str, list[Action]]:
    return orjson.loads(key), of_user(orjson.loads(value))


def _quix_state(key: bytes, value: bytes) -> tuple[str, list[Action]]:
    user, _, _ = key.partition(b"|")  # then the name in the state
    return orjson.loads(user), list(actions_of(value))


def _streams_state(key: bytes, value: bytes) -> tuple[str, list[Action]]:
    return key.decode(), list(actions_of(value))


_STATE = Changelog(lambda group, _: f"{group}-state-changelog", _lately_state)

LATELY = Engine("Lately", start_lately, merges=True, changelog=_STATE)
PLAIN = LATELY._replace(name="Lately without the native core", start=start_python)
STREAMS = Engine(
    "Kafka Streams",
    start_kafka_streams,
    changelog=Changelog(lambda group, _: f"{group}-actions-changelog", _streams_state),
)
QUIX = Engine(
    "Quix Streams",
    _python("benchmarks.peers.quix"),
    changelog=Changelog(lambda group, topic: f"changelog__{group}--{topic}--default", _quix_state),
)
BYTEWAX = Engine(
    "Bytewax",
    _python("benchmarks.peers.bytewax", snapshots.PYTHON),
    commits=False,
    recovery=snapshots.read,
)
STOCK = Engine(
    "stock Faust",
    _python("benchmarks.peers.stock_faust"),
    share=0.05,
    changelog=Changelog(lambda group, _: f"{group}-recent-changelog", _json_state),
)
