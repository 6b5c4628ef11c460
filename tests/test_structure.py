"""Every module stands above those it imports, and folders and modules stay small enough to read."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("model", "stream")
MOST_MODULES = 16  # in a folder
MOST_LINES = 350  # in a module


def modules(package: str) -> dict[str, Path]:
    """Every module of a package by its dotted name; a package is its ``__init__``."""
    paths = (ROOT / package).rglob("*.py")
    return {_name(path.relative_to(ROOT)): path for path in paths}


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """The known modules that a file imports anywhere: late and for types alone, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in names if name in known)
            if node.module in known and not all(name in known for name in names):
                yield node.module


def test_a_late_import_for_types_and_one_of_a_module_are_found(tmp_path: Path) -> None:
    path = tmp_path / "importing.py"
    path.write_text(
        "import a.b\n"
        "if TYPE_CHECKING:\n    from a.types import Type\n"
        "def late():\n    from a import late, name\n"
    )
    known = dict.fromkeys(("a", "a.b", "a.types", "a.late", "a.unused"), path)

    assert sorted(imported(path, known)) == ["a", "a.b", "a.late", "a.types"]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_runs_in_a_circle(package: str) -> None:
    known = modules(package)
    imports = {name: set(imported(path, known)) - {name} for name, path in known.items()}

    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_a_folder_has_few_modules(package: str) -> None:
    paths = [path for path in modules(package).values() if path.name != "__init__.py"]
    counts = Counter(str(path.parent.relative_to(ROOT)) for path in paths)

    assert {name: n for name, n in counts.items() if n > MOST_MODULES} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_is_short(package: str) -> None:
    lines = {
        name: len(path.read_text(encoding="utf-8").splitlines())
        for name, path in modules(package).items()
    }

    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}
