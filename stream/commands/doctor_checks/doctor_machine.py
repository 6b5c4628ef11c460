"""The checks of `lately doctor` on this machine: artifact, state directory, HTTP address."""

import fcntl
import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from model import native
from model.scorer import Vocabulary
from stream.addresses import Address
from stream.commands.terminal import counted
from stream.kafka.topic_checks import Status
from stream.storage.open_files import ADVICE, Limits, needed

LITTLE_BYTES = 1 << 30
TOO_LITTLE_BYTES = 64 << 20  # less than RocksDB writes before it compacts
_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; ``fix`` is what to do, empty for PASS and SKIP."""

    status: Status
    what: str
    found: str
    fix: str = ""

    def line(self) -> str:
        """One line for people."""
        return f"{self.status}  {self.what:<10} {self.found}" + (
            f"; {self.fix}" if self.fix else ""
        )

    def as_dict(self) -> dict[str, str]:
        """The fields, for JSON."""
        return asdict(self)


def check_artifact(artifact: Path | None) -> tuple[Check, Vocabulary | None]:
    """Whether a worker would load it: every hash is right, and the engine opens it.

    Also returns what the model knows, None if it cannot be loaded.
    """
    from model.errors import ModelError
    from model.serving.verify import verify  # late: loads the engine

    if artifact is None:
        return Check("SKIP", "artifact", "not checked: give --artifact"), None
    try:
        fields, vocabulary = verify(artifact)
    except ModelError as error:
        found, _, fix = str(error).partition("; ")
        return Check("FAIL", "artifact", found, fix or "train or copy it again"), None
    found = f"{fields['name']} {fields['version']} is whole, and opens with --scorer onnx"
    return Check("PASS", "artifact", found), vocabulary


def check_core() -> Check:
    """What would do the work for each event here."""
    if native.AVAILABLE:
        return Check("PASS", "core", f"the native core {native.VERSION} does the work for an event")
    found = f"Python does the work for an event, at several times the CPU ({native.REASON})"
    return Check("PASS", "core", found)


def check_state_dir(state_dir: Path | None, group: str) -> Iterator[Check]:
    """Whether a worker can write there, how much room is left, and whether one is running."""
    if state_dir is None:
        yield Check("SKIP", "state", "not checked: give --state-dir")
        return
    existing = next(p for p in (state_dir.absolute(), *state_dir.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        found = f"cannot write in {existing} ({error.strerror})"
        yield Check("FAIL", "state", found, "fix its permissions, or choose another --state-dir")
        return
    found = (
        f"can write in {state_dir}"
        if existing == state_dir.absolute()
        else f"{state_dir} does not exist yet, and can be created"
    )
    yield Check("PASS", "state", found)
    yield assess_space(shutil.disk_usage(existing).free)
    yield _check_lock(state_dir / group / "lock")


def assess_space(free_bytes: int) -> Check:
    """Whether this much free space is enough."""
    found = f"{free_bytes / (1 << 30):,.1f} GiB free for the state"
    if free_bytes < TOO_LITTLE_BYTES:
        return Check("FAIL", "disk", found, "free some space, or choose another --state-dir")
    if free_bytes < LITTLE_BYTES:
        return Check("WARN", "disk", found, "a full disk ends the worker: free some space")
    return Check("PASS", "disk", found)


def assess_open_files(partitions: int, found: Limits) -> Check:
    """Whether a worker with all partitions may open the files of its state."""
    need = needed(partitions)
    text = (
        f"{counted(partitions, 'partition')} need {need:,}, and a worker started here may open "
        f"{found.most:,} (it raises the limit of {found.soft:,} itself)"
        if found.soft < found.most
        else f"{counted(partitions, 'partition')} need {need:,}, and the limit is {found.most:,}"
    )
    if found.most < need:
        return Check("FAIL", "files", text, ADVICE)
    return Check("PASS", "files", text)


def _check_lock(lock: Path) -> Check:
    if not lock.exists():
        return Check("PASS", "lock", "free: no worker has used this directory")
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Check("PASS", "lock", "held: a worker or a command uses this directory now")
    except OSError as error:
        return Check(
            "FAIL", "lock", f"cannot open {lock} ({error.strerror})", "fix its permissions"
        )
    return Check("PASS", "lock", "free: no worker uses this directory now")


def check_http(http: Address) -> Check:
    """Whether the worker that answers there is ready or, if none does, whether one could listen."""
    answer = _readiness(http)
    if answer is not None:
        if answer.get("ready"):
            return Check("PASS", "http", f"a worker answers on {http}, and is ready")
        reasons = "; ".join(f"{name}: {why}" for name, why in answer.get("reasons", {}).items())
        found = f"the worker on {http} is not ready ({reasons})"
        return Check("WARN", "http", found, "give it time to recover, or see the other checks")
    try:
        family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(http)
    except OSError as error:
        found = f"cannot listen on {http} ({error.strerror}), and no worker answers there"
        return Check("FAIL", "http", found, "set --http to a free address")
    return Check("PASS", "http", f"{http} is free for a worker")


def _readiness(http: Address) -> dict[str, Any] | None:
    """The answer of /readyz; None if no worker answers."""
    connection = HTTPConnection(*http, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        answer = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return answer if isinstance(answer, dict) and "ready" in answer else None
