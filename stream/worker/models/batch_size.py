"""The measured batch size: kept in the state directory, so that a restart need not measure it."""

import json
import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from model.scorer import ModelInfo
from stream.settings import WorkerSettings

_FILE = "batch_users.json"  # in the group's folder of the state directory
_PACKAGES = ("lately", "lately-native", "onnxruntime", "torch", "numpy")
_OPTIONS = (
    *("scorer", "exclude_seen", "allowed_items", "blocked_items", "max_per_category"),
    *("diversity", "recency_temperature", "user_vector"),
)


class MeasuredBatchSize:
    """Remembers the batch size of one model on one machine, with one set of versions and options.

    What is unreadable, or of anything else, is measured again.
    """

    def __init__(self, settings: WorkerSettings, info: ModelInfo) -> None:
        self._path = settings.state_dir / settings.group / _FILE
        self._conditions = _conditions(settings, info)

    def find(self) -> int | None:
        """The size that was measured under these conditions; None if there is none."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            users = found["users"] if found["conditions"] == self._conditions else None
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return users if isinstance(users, int) and users > 0 else None

    def remember(self, users: int) -> None:
        """Write it down for the next start."""
        found = {"users": users, "conditions": self._conditions}
        with suppress(OSError):  # of a full disk, say: it is measured again
            draft = self._path.with_suffix(".unfinished")
            draft.write_text(json.dumps(found), encoding="utf-8")
            draft.replace(self._path)


def _conditions(settings: WorkerSettings, info: ModelInfo) -> list[str]:
    model = (info.name, info.version, info.device)
    machine = (platform.machine(), _processor(), str(os.cpu_count()))
    options = [str(getattr(settings, name)) for name in _OPTIONS]
    return [*model, *machine, *_versions(), *options]


def _processor() -> str:
    """The model of the processor; empty where the system does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "")


def _versions() -> Sequence[str]:
    found = []
    for name in _PACKAGES:
        try:
            found.append(version(name))
        except PackageNotFoundError:
            found.append("")
    return found
