"""What can go wrong on the model's side, and who has to act.

ModelError
├── DataError        the owner of the event log: columns, times or rows that cannot be read
├── ArtifactError    the operator: an artifact that must not be loaded
├── OptionsError     the operator: a scoring option that cannot be applied; exit code 2
└── ScorerError      the model's owner: an engine that is missing, or an invalid output
    └── OutOfResourcesError   the operator: memory, or the device; no sequence is to blame
"""

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


def how_to_install(target: str = "setup") -> str:
    """What to run for packages that are missing, from where the user stands."""
    here = Path(__file__).resolve().parents[1]
    if not (here / "Makefile").is_file():
        return f"run `make {target}` in a clone of Lately"  # an image has no Makefile
    return f"run `make {target}`" if here == Path.cwd() else f"run `make {target}` in {here}"
