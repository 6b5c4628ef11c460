"""Failpoints: named steps of a batch at which a test can crash the worker.

``LATELY_FAILPOINT=changelog_sent:3`` kills the process, as ``kill -9`` does, the third time a
batch reaches that step. Without the variable, no failpoint is armed.
"""

import os
import signal
from collections.abc import Mapping

from stream.errors import SettingsError

VARIABLE = "LATELY_FAILPOINT"
NAMES = (
    "scores_sent",
    "dead_sent",
    "acknowledged",
    "receipts_sent",
    "changelog_sent",
    "state_put",
    "committed",
)

_hits_left: dict[str, int] = {}


def arm(environment: Mapping[str, str]) -> None:
    """Arm the failpoint that the environment names; raises SettingsError for an unknown one."""
    setting = environment.get(VARIABLE)
    if not setting:
        return
    name, _, hits = setting.partition(":")
    if name not in NAMES or not hits.isdigit() or int(hits) < 1:
        raise SettingsError(
            f"{VARIABLE}: {setting!r} is not NAME:N, with N from 1 and a NAME of "
            f"{', '.join(NAMES)}; unset it"
        )
    _hits_left[name] = int(hits)


def hit(name: str) -> None:
    """Mark that a batch has reached this step; kills the process if the failpoint is due."""
    if name in _hits_left:
        _hits_left[name] -= 1
        if not _hits_left[name]:
            os.kill(os.getpid(), signal.SIGKILL)
