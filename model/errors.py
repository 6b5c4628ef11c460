"""What can go wrong on the model's side, and who has to act.

ModelError
├── DataError        the owner of the event log: columns, times or rows that cannot be read
├── ArtifactError    the operator: an artifact that must not be loaded
├── OptionsError     the operator: a scoring option that cannot be applied; exit code 2
└── ScorerError      the model's owner: an engine that is missing, or an invalid output
    └── OutOfResourcesError   the operator: memory, or the device; no sequence is to blame
"""

import shutil
import sys
from pathlib import Path


class ModelError(Exception):
    """Base of the model's errors; one line: what was found, what was expected, what to do."""


class DataError(ModelError):
    """An event log or item file that cannot be used."""


class ArtifactError(ModelError):
    """An artifact that is damaged, incomplete or inconsistent."""


class OptionsError(ModelError):
    """An invalid scoring option, or a list of items that cannot be used."""


class ScorerError(ModelError):
    """A scorer that cannot start, or whose output is invalid."""


class OutOfResourcesError(ScorerError, MemoryError):
    """An engine that lacks memory or its device: the same sequences may succeed elsewhere."""


# What a target runs, for a machine without make, and the environment that it makes.
_WITHOUT_MAKE = {
    "setup": "requirements/install.sh .venv requirements/all.txt",
    "setup GPU=1": "GPU=1 requirements/install.sh .venv requirements/all.txt",
    "demo": "requirements/install.sh .venv-demo requirements/demo.txt",
}


def how_to_install(target: str = "setup") -> str:
    """What to run for packages that are missing, from where the user stands."""
    here = Path(__file__).resolve().parents[1]
    if not (here / "Makefile").is_file():
        return f"run `make {target}` in a clone of Lately"  # an image has no Makefile
    command, has_make = f"make {target}", shutil.which("make") is not None
    if not has_make:
        command = _WITHOUT_MAKE.get(target, command)
    where = "" if here == Path.cwd() else f" in {here}"
    lately = here / (".venv-demo" if target == "demo" else ".venv") / "bin" / "lately"
    if (has_make and target == "demo") or Path(sys.prefix).resolve() == lately.parents[1]:
        return f"run `{command}`{where}"
    # The packages would be in another environment than the one that lacks them.
    return f"run `{command}`{where}, and then {lately if where else lately.relative_to(here)}"
