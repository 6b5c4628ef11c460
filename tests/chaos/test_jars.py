"""Kafka's jars are fetched once, however many processes ask for them at the same time."""

import multiprocessing
from pathlib import Path

import pytest

from tests.kafka import broker

MAVEN = """#!/bin/sh
for word; do case $word in -DoutputDirectory=*) folder=${word#*=};; esac; done
echo fetched >> "$(dirname "$folder")/fetches"
mkdir "$folder" && sleep .2 && touch "$folder/kafka.jar"
"""


def test_processes_that_ask_at_once_fetch_once_and_get_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In a fresh clone every process of the tests needs a broker before the jars are there.
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in {"mvn": MAVEN, "java": "#!/bin/sh\n"}.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    monkeypatch.setattr(broker, "JARS", tmp_path / "kafka" / "libs")
    fork = multiprocessing.get_context("fork")
    with fork.Pool(4) as pool:
        found = pool.starmap(broker.find_jars, [()] * 4, chunksize=1)
    assert {tuple(sorted(folder.iterdir())) for folder in found} == {
        (tmp_path / "kafka" / "libs" / "kafka.jar",)
    }
    assert (tmp_path / "kafka" / "fetches").read_text().split() == ["fetched"]
