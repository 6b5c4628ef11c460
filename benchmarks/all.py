"""All measurements of the page in turn: ``python -m benchmarks.all``, or `make bench-all`.

Every section is a command of its own with a results file of its own. If one fails, the others go
on; ``--resume`` then measures only what has no result, and the page is written in either case.
"""

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import page, results

ROOT = Path(__file__).parents[1]


class Section(NamedTuple):
    """A measurement: the name of its results file, and its command.

    ``rounds`` and ``events``: it takes these options. ``more``: only if asked for.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    rounds: bool = True
    events: bool = False
    more: bool = False


# Stock Faust takes a minute for each round of full histories, and the reference has its own figure
# where histories are short.
QUICK = ("lately", "kafka-streams", "quix", "bytewax")
SIZES = ("10000", "50000", "100000", "1000000")
KERNEL_SIZES = ("50000", "1000000")
SECTIONS = (
    Section("engine-short", "benchmarks.engine", ("--workload", "short"), events=True),
    Section(
        "engine-full",
        "benchmarks.engine",
        ("--workload", "full", "--engines", *QUICK),
        events=True,
    ),
    Section(
        "engine-zipf",
        "benchmarks.engine",
        ("--workload", "zipf", "--engines", *QUICK),
        events=True,
    ),
    Section("models", "benchmarks.models", events=True),
    Section("scorer", "benchmarks.scorer", ("--items", *SIZES, "--users", "256")),
    Section("kernel", "benchmarks.kernel", ("--users", "1", "64", "--items", *KERNEL_SIZES)),
    Section("half_load", "benchmarks.half_load", rounds=False, more=True),
    Section("start", "benchmarks.start", more=True),
    Section("rebuild", "benchmarks.rebuild", more=True),
    Section("catch_up", "benchmarks.catch_up", more=True),
    Section("two_workers", "benchmarks.two_workers", more=True),
    Section("scale", "benchmarks.scale", rounds=False, more=True),
)


def main(arguments: list[str] | None = None) -> int:
    """Measure the sections and write the page; 1 if a section failed."""
    options = _parser().parse_args(arguments)
    names = options.sections or [s.name for s in SECTIONS if options.more or not s.more]
    chosen = [section for section in SECTIONS if section.name in names]
    if not options.resume:  # or the page would show figures of another day beside today's
        for section in chosen:
            results.remove(section.name, options.results)
    failed, started_s = [], time.monotonic()
    for number, section in enumerate(chosen, 1):
        if options.resume and results.load(section.name, options.results):
            print(f"[{number}/{len(chosen)}] {section.name}: measured already", flush=True)
            continue
        minutes = (time.monotonic() - started_s) / 60
        print(f"[{number}/{len(chosen)}] {section.name}, after {minutes:.1f} min", flush=True)
        if not succeeds(command(section, options)):
            failed.append(section.name)
    written = page.main(["--results", str(options.results), "--page", str(options.page)])
    if failed:
        again = f"{' '.join(failed)} failed; after the mend: make bench-all ARGS=--resume"
        print(again, file=sys.stderr)
    return 1 if failed else written


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.all", description=__doc__)
    names = [section.name for section in SECTIONS]
    parser.add_argument("--rounds", type=int, default=5, help="[%(default)s]")
    parser.add_argument("--events", type=int, help="measured per run of an engine [its workload's]")
    parser.add_argument(
        "--sections", nargs="+", choices=names, metavar="SECTION", help=", ".join(names)
    )
    parser.add_argument(
        "--more", action="store_true", help="latency, start, recovery and scale, too: an hour more"
    )
    parser.add_argument("--resume", action="store_true", help="only what has no result")
    parser.add_argument("--page", type=Path, default=page.PAGE, help="[docs/performance.md]")
    results.add_option(parser)
    return parser


def command(section: Section, options: argparse.Namespace) -> list[str]:
    """The command of a section; it is shown in the page as it can be typed."""
    line = [sys.executable, "-m", section.module, *section.arguments]
    if section.rounds:
        line += ["--rounds", str(options.rounds)]
    if section.events and options.events:
        line += ["--events", str(options.events)]
    if options.results != results.FOLDER:
        line += ["--results", str(options.results)]
    print("  python " + shlex.join(line[1:]), flush=True)
    return line


def succeeds(line: list[str]) -> bool:
    """Run a command in the source tree, and say whether it ended well."""
    return subprocess.run(line, cwd=ROOT, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
