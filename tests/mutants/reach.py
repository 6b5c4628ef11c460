"""Which test files run a function of ``stream/``, directly or in a process that they start."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.mutant import Mutant
from tests.tree_copy import Result, run_pytest

AT_ONCE = 2
QUICK = ("-m", "not kafka", "-p", "no:cacheprovider")
NONE_CHOSEN = 5  # pytest's exit code for a file in which every test needs Kafka
# Tests of the model and of benchmarks train for minutes, and the model does not use stream/.
LEFT_OUT = ("kafka", "mutants", "model", "benchmarks")
TRACER = Path("tests", "mutants", "trace")


@dataclass(frozen=True, slots=True)
class Reach:
    """The functions that a test file ran, as ``FILE:LINE``, and how long it took."""

    tests: str
    functions: frozenset[str]
    seconds: float


class BaselineError(Exception):
    """A test fails without a mutant, so its failure would prove nothing."""


def find_reach(tree: Path, report: Callable[[int], None]) -> list[Reach]:
    """Run each quick test file of a tree alone and traced; the quickest come first."""
    found: list[Reach] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for reach in pool.map(lambda tests: _trace(tree, tests), quick_tests(tree)):
            found.append(reach)
            report(len(found))
    return sorted(found, key=lambda reach: reach.seconds)


def quick_tests(tree: Path) -> list[str]:
    """The test files that can reach ``stream/`` without Kafka."""
    files = sorted(path.relative_to(tree) for path in tree.glob("tests/**/test_*.py"))
    return [str(file) for file in files if file.parts[1] not in LEFT_OUT]


def files_that_run(mutant: Mutant, reaches: Iterable[Reach]) -> list[Reach]:
    """The test files that run the mutant's function, in the given order."""
    function = f"{mutant.file}:{mutant.function}"
    return [reach for reach in reaches if function in reach.functions]


def _trace(tree: Path, tests: str) -> Reach:
    with TemporaryDirectory(prefix="lately-trace-") as folder:
        log = Path(folder, "functions")
        log.touch()
        begin_s = time.monotonic()
        result = run_pytest(
            tree,
            [*QUICK, tests],
            environment={
                "PYTHONPATH": f"{tree}:{tree / TRACER}",
                "TRACED_FOLDER": f"{tree}/stream/",
                "TRACED_TO": str(log),
            },
        )
        seconds = time.monotonic() - begin_s
        if result.code not in (0, NONE_CHOSEN):
            raise BaselineError(f"{tests} fails on the tree as it is: {result}")
        functions = {line.removeprefix(f"{tree}/") for line in log.read_text().splitlines()}
    return Reach(tests, frozenset(functions), seconds)


def run_quick(tree: Path, chosen: list[Reach], seed: int) -> Result:
    """Run test files up to the first failure; kills them if they hang."""
    timeout_s = 60 + 5 * sum(reach.seconds for reach in chosen)
    arguments = [*QUICK, "-x", f"--hypothesis-seed={seed}", *(reach.tests for reach in chosen)]
    return run_pytest(tree, arguments, timeout_s, {"PYTHONDONTWRITEBYTECODE": "1"})
