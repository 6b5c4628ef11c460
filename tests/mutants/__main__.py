"""The command ``python -m tests.mutants``: prints each mutant, and how many are detected."""

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from model.progress import progress
from tests.mutants.mutant import Mutant, mutants
from tests.mutants.reach import (
    AT_ONCE,
    BaselineError,
    Reach,
    files_that_run,
    find_reach,
    quick_tests,
    run_quick,
)
from tests.tree_copy import TIMED_OUT, copy_tree

MUTATED = "stream"


def draw(tree: Path, seed: int, count: int) -> list[Mutant]:
    """Draw ``count`` of the mutants that compile, all with the same chance; sorted by place."""
    sources = {path: path.read_bytes() for path in sorted((tree / MUTATED).rglob("*.py"))}
    every = [
        (mutant, source)
        for path, source in sources.items()
        for mutant in mutants(path.relative_to(tree).as_posix(), source)
    ]
    random.Random(seed).shuffle(every)
    compiling = (mutant for mutant, source in every if mutant.compiles(source))
    return sorted(islice(compiling, count), key=lambda mutant: (mutant.file, mutant.begin))


def detected_by(mutant: Mutant, tree: Path, reaches: list[Reach], seed: int) -> str:
    """Run the tests that reach a mutant; the first failure, or an empty text if all pass."""
    chosen = files_that_run(mutant, reaches)
    if not chosen:
        return ""
    with TemporaryDirectory(prefix="lately-mutant-") as folder:
        copy = Path(folder)
        copy_tree(copy, tree, compiled=True)
        file = copy / mutant.file
        file.write_bytes(mutant.apply(file.read_bytes()))
        result = run_quick(copy, chosen, seed)
    if result.code == 0:
        return ""
    if result.code == TIMED_OUT:
        return result.last_line
    return (result.failed or [result.last_line])[0].split(" - ")[0]


def describe(mutant: Mutant, tree: Path, detected: str, reaches: list[Reach]) -> str:
    """One line; for a mutant that survives, also its diff and how many test files run it."""
    source = (tree / mutant.file).read_bytes()
    place = f"{mutant.file}:{mutant.line(source)} {mutant.kind}"
    if detected:
        return f"detected {place}: {detected}"
    files = len(files_that_run(mutant, reaches))
    return "\n    ".join([f"SURVIVES {place}, run by {files} test files", *mutant.diff(source)])


def main(
    seed: Annotated[int, typer.Option(help="The same seed draws the same places.")],
    count: Annotated[int, typer.Option(help="How many mutants.")] = 50,
) -> None:
    """Make random mutants of stream/, and count those that the quick tests detect."""
    with TemporaryDirectory(prefix="lately-mutants-") as folder:
        tree = Path(folder)
        copy_tree(tree)
        try:
            with progress("tests traced", len(quick_tests(tree))) as report:
                reaches = find_reach(tree, report)
        except BaselineError as error:
            typer.echo(error, err=True)
            raise typer.Exit(1) from None
        drawn = draw(tree, seed, count)
        detected = 0
        with progress("mutants tried", len(drawn)) as report, ThreadPoolExecutor(AT_ONCE) as pool:
            results = pool.map(lambda mutant: detected_by(mutant, tree, reaches, seed), drawn)
            for done, (mutant, by) in enumerate(zip(drawn, results, strict=True), start=1):
                detected += bool(by)
                typer.echo(describe(mutant, tree, by, reaches))
                report(done)
    typer.echo(f"seed {seed}: {detected} of {len(drawn)} detected")


if __name__ == "__main__":
    typer.run(main)
