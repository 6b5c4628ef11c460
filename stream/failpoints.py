"""Failpoints: named places on a batch's way where a test may crash the worker.

They exist only where the environment asks for one: ``LATELY_FAILPOINT=changelog_sent:3`` ends the
process, as ``kill -9`` does, the third time that a batch comes by that place.
"""

import os
import signal
from collections.abc import Mapping

from stream.errors import SettingsError

VARIABLE = "LATELY_FAILPOINT"
PLACES = (
    "scores_sent",
    "dead_sent",
    "acknowledged",
    "receipts_sent",
    "changelog_sent",
    "state_put",
    "committed",
)

_left: dict[str, int] = {}


def arm(environment: Mapping[str, str]) -> None:
    """Read the environment; raises SettingsError for a place that there is not."""
    asked = environment.get(VARIABLE)
    if not asked:
        return
    place, _, times = asked.partition(":")
    if place not in PLACES or not times.isdigit() or int(times) < 1:
        raise SettingsError(
            f"{VARIABLE}: {asked!r} is not PLACE:N, with N from 1 and a PLACE of "
            f"{', '.join(PLACES)}; unset it"
        )
    _left[place] = int(times)


def passed(place: str) -> None:
    """A batch is here; ends the process if that is what was asked for."""
    if place in _left:
        _left[place] -= 1
        if not _left[place]:
            os.kill(os.getpid(), signal.SIGKILL)
