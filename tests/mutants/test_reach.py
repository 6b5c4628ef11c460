"""Which tests run which functions of a small tree, and which mutants they detect."""

import shutil
from pathlib import Path
from textwrap import dedent

import pytest

from tests.mutants.__main__ import detected_by, draw
from tests.mutants.mutant import MODULE
from tests.mutants.reach import TRACER, BaselineError, files_that_run, find_reach

HERE = Path(__file__).parent
CODE = """\
LIMIT = 3

def inside(n):
    return n < LIMIT

def alone(n):
    print(n)
    return n

if __name__ == "__main__":
    alone(5)
"""
TEST_INSIDE = """\
from stream.a import inside

def test_inside():
    assert inside(2) and not inside(3)
"""
TEST_PROCESS = """\
import subprocess, sys

def test_process():
    subprocess.run([sys.executable, "-m", "stream.a"], check=True)
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A module, a test that calls a function of it, and one that runs it in a process."""
    (tmp_path / "stream").mkdir()
    (tmp_path / "stream" / "a.py").write_text(CODE)
    (tmp_path / "stream" / "__init__.py").touch()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_inside.py").write_text(TEST_INSIDE)
    (tmp_path / "tests" / "test_process.py").write_text(TEST_PROCESS)
    (tmp_path / "pyproject.toml").write_text(
        dedent(
            """\
            [tool.pytest.ini_options]
            pythonpath = ["."]
            markers = ["kafka"]
            """
        )
    )
    shutil.copytree(HERE / "trace", tmp_path / TRACER)
    return tmp_path


def test_mutant_is_tested_by_the_files_that_run_its_function(
    tree: Path,
) -> None:
    reported: list[int] = []
    reaches = find_reach(tree, reported.append)
    every = {(mutant.kind, mutant.function): mutant for mutant in draw(tree, 0, 100)}

    def tried(kind: str, function: int) -> list[str]:
        return sorted(r.tests for r in files_that_run(every[kind, function], reaches))

    def detected(kind: str, function: int) -> str:
        return detected_by(every[kind, function], tree, reaches, seed=0)

    assert reported == [1, 2]
    assert tried("comparison inverted", 3) == ["tests/test_inside.py"]
    assert tried("call removed", 6) == ["tests/test_process.py"]
    assert tried("number increased", MODULE) == ["tests/test_inside.py", "tests/test_process.py"]
    assert detected("comparison inverted", 3) == "FAILED tests/test_inside.py::test_inside"
    assert detected("call removed", 6) == ""  # no test checks what it prints
    assert (tree / "stream" / "a.py").read_text() == CODE


def test_failure_without_a_mutant_is_an_error(tree: Path) -> None:
    (tree / "tests" / "test_inside.py").write_text("def test_it():\n    assert False\n")

    with pytest.raises(BaselineError, match=r"tests/test_inside\.py fails on the tree as it is"):
        find_reach(tree, lambda done: None)
