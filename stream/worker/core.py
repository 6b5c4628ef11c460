"""The core of a worker: whether the native core or Python does the work for each event."""

from typing import Literal

from model import native
from stream.errors import SettingsError
from stream.settings import WorkerSettings


def core_of(settings: WorkerSettings) -> Literal["native", "python"]:
    """The core that the settings ask for; raises SettingsError if it is missing."""
    if settings.core == "native" and not native.AVAILABLE:
        raise SettingsError(
            f"--core native: the native core is missing ({native.REASON}); or leave the flag out, "
            "Python gives the same scores"
        )
    return "native" if settings.core != "python" and native.AVAILABLE else "python"
