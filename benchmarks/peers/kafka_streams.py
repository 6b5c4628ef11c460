"""The job on Kafka Streams: fetches its jars, compiles LastActions.java, and knows its settings."""

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = HERE / "LastActions.java"
POM = HERE / "pom.xml"
FOLDER = HERE.parents[1] / ".kafka" / "streams"  # fetched and compiled
VERSION = "4.3.0"

# The fastest of what was tried by CPU per event; benchmarks/README.md has the others.
JAVA = ("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")
SETTINGS = {
    "num.stream.threads": "1",
    "commit.interval.ms": "1000",
    "statestore.cache.max.bytes": str(256 << 20),
    "consumer.auto.offset.reset": "earliest",
    "consumer.max.poll.records": "5000",
    "consumer.max.partition.fetch.bytes": str(4 << 20),
    "producer.acks": "all",
    "producer.linger.ms": "100",
    "producer.batch.size": str(256 << 10),
    "producer.buffer.memory": str(128 << 20),
}


class UnavailableError(Exception):
    """The job cannot be compiled here; says what is missing."""


def command(
    bootstrap: str, source: str, output: str, group: str, state_dir: str, java: tuple[str, ...]
) -> list[str]:
    """The command of the job; compiles it when the source is newer. Raises UnavailableError."""
    names = [bootstrap, source, output, group, state_dir]
    settings = [f"{name}={value}" for name, value in SETTINGS.items()]
    return ["java", *java, "-cp", compiled(), "LastActions", *names, *settings]


def compiled() -> str:
    """The class path of the compiled job."""
    jars, classes = FOLDER / "libs", FOLDER / "classes"
    for tool in ("java", "javac", "mvn"):
        if not shutil.which(tool):
            raise UnavailableError(f"no {tool}: Kafka Streams needs Java 17 and Maven")
    if not jars.is_dir():
        fresh = jars.with_name("libs-unfinished")
        shutil.rmtree(fresh, ignore_errors=True)
        fetch = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
        _run([*fetch, f"-DoutputDirectory={fresh}"])
        fresh.rename(jars)  # at once, so that half a fetch is never taken for the whole
    made = classes / "LastActions.class"
    if not made.is_file() or made.stat().st_mtime < SOURCE.stat().st_mtime:
        _run(["javac", "-cp", f"{jars}/*", "-d", str(classes), str(SOURCE)])
    return f"{jars}/*:{classes}"


def java_version() -> str:
    """The version of the virtual machine, in its own words."""
    done = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False)
    return done.stderr.partition("\n")[0].replace('"', "")


def _run(line: list[str]) -> None:
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnavailableError(f"{line[0]} failed: {(done.stdout + done.stderr).strip()[-500:]}")
