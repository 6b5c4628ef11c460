"""What `lately doctor` looks at on this machine: artifact, state directory, address."""

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

from stream.kafka.topic_checks import Status

LITTLE_BYTES = 1 << 30
TOO_LITTLE_BYTES = 64 << 20  # less than RocksDB writes before it makes room
_ASK_S = 2.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at; ``fix`` is what to do, and empty for PASS and SKIP."""

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


def check_artifact(artifact: Path | None) -> Check:
    """Whether a worker would load it: every hash, and that the engine opens it."""
    from model.errors import ModelError
    from model.serving.verify import verify

    if artifact is None:
        return Check("SKIP", "artifact", "not looked at: give --artifact")
    try:
        fields = verify(artifact)
    except ModelError as error:
        found, _, fix = str(error).partition("; ")
        return Check("FAIL", "artifact", found, fix or "train or copy it again")
    found = f"{fields['name']} {fields['version']} is whole, and opens with --scorer onnx"
    return Check("PASS", "artifact", found)


def check_state_dir(state_dir: Path | None, group: str) -> Iterator[Check]:
    """Whether a worker can write there, for how long, and whether one does."""
    if state_dir is None:
        yield Check("SKIP", "state", "not looked at: give --state-dir")
        return
    there = next(p for p in (state_dir.absolute(), *state_dir.absolute().parents) if p.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        found = f"cannot write in {there} ({error.strerror})"
        yield Check("FAIL", "state", found, "mend its permissions, or choose another --state-dir")
        return
    found = (
        f"can write in {state_dir}"
        if there == state_dir.absolute()
        else (f"{state_dir} is not there yet, and can be made")
    )
    yield Check("PASS", "state", found)
    yield judge_space(shutil.disk_usage(there).free)
    yield _check_lock(state_dir / group / "lock")


def judge_space(free_bytes: int) -> Check:
    """Whether that much room will do."""
    found = f"{free_bytes / (1 << 30):,.1f} GiB free for the state"
    if free_bytes < TOO_LITTLE_BYTES:
        return Check("FAIL", "disk", found, "free some, or choose another --state-dir")
    if free_bytes < LITTLE_BYTES:
        return Check("WARN", "disk", found, "a full disk ends the worker: free some")
    return Check("PASS", "disk", found)


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
            "FAIL", "lock", f"cannot open {lock} ({error.strerror})", "mend its permissions"
        )
    return Check("PASS", "lock", "free: no worker uses this directory now")


def check_http(http: str) -> Check:
    """Whether the worker that answers there is ready or, where none does, whether one could."""
    answer = _ask(http)
    if answer is not None:
        if answer.get("ready"):
            return Check("PASS", "http", f"a worker answers on {http}, and is ready")
        reasons = "; ".join(f"{name}: {why}" for name, why in answer.get("reasons", {}).items())
        found = f"the worker on {http} is not ready ({reasons})"
        return Check("WARN", "http", found, "give it time to recover, or see the other checks")
    host, _, port = http.rpartition(":")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host.strip("[]"), int(port)))
    except OSError as error:
        found = f"{http} cannot be had ({error.strerror}), and no worker answers there"
        return Check("FAIL", "http", found, "give a free address by --http")
    return Check("PASS", "http", f"{http} is free for a worker")


def _ask(http: str) -> dict[str, Any] | None:
    """What /readyz says; None when nothing of ours answers."""
    connection = HTTPConnection(http, timeout=_ASK_S)
    try:
        connection.request("GET", "/readyz")
        said = json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return said if isinstance(said, dict) and "ready" in said else None
