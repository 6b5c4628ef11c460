"""README.md: every command and program in it is run, and does what the text around it says."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from model.synthetic.shop import Shop
from tests.docs.blocks import Block, blocks
from tests.kafka.artifact import find_artifact
from tests.kafka.broker import ROOT, Unavailable, find_jars, free_port
from tests.kafka.client import Client
from tests.kafka.shell import Shell

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

README = ROOT / "README.md"
EVENTS, SCORES, DEAD = "lately.events", "lately.scores", "lately.events.dead"
TOPICS = {EVENTS, SCORES, DEAD, "lately.receipts", "lately-state-changelog"}
PATIENCE_S = 30.0
INTERRUPTED = 130  # how Java ends by Ctrl-C
TOOLS = {
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
}
# What Kafka's own scripts do, but that the broker of the README is the one we test on.
TOOL = """#!/usr/bin/env bash
exec java -Xmx256m -XX:TieredStopAtLevel=1 -cp '{jars}/*' {main} "${{@//localhost:9092/{broker}}}"
"""
FIRST_MS = 1_790_000_000_000


class Reader:
    """Does what README.md says, in a folder with all that it takes for granted."""

    def __init__(self, client: Client, folder: Path, jars: Path) -> None:
        self.client = client
        settings = {"bootstrap": client.bootstrap, "http": f"127.0.0.1:{free_port()}"}
        self.shell = Shell(folder, settings)
        self._folder = folder
        self._schema = jsonschema.Draft202012Validator(
            json.loads((ROOT / "stream" / "schemas" / "score.schema.json").read_text())
        )
        (folder / "model").mkdir()
        (folder / "model" / "demo_artifact").symlink_to(find_artifact().resolve())
        for name, main in TOOLS.items():
            tool = folder / name
            tool.write_text(TOOL.format(jars=jars, main=main, broker=client.bootstrap))
            tool.chmod(0o755)
        _write_logs(folder)

    def follow(self, block: Block) -> None:
        """Do what a block says, and look whether it comes true."""
        match block.language:
            case "sh":
                for command in block.commands():
                    rule = next((do for start, do in RULES if command.startswith(start)), None)
                    assert rule, f"README.md:{block.line}: no rule how to test: {command}"
                    rule(self, command)
            case "python":
                (self._folder / "block.py").write_text(block.text, encoding="utf-8")
                self.send("python block.py")
            case "json" | "mermaid" | "":  # an example, which tests/docs looks at, or a drawing
                pass
            case language:
                pytest.fail(f"README.md:{block.line}: no rule how to test {language}")

    def leave_to_ci(self, command: str) -> None:
        """It is run by .ci/run, which is where this test is run, too."""
        target = command.removeprefix("make ").split()[0]
        ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
        step = rf'^( +make|(step|beside) ".+" (make|tests)) {target}\b'
        assert re.search(step, ci, re.MULTILINE), command

    def run(self, command: str) -> None:
        """It ends by itself, and well."""
        self.shell.do(command)

    def work(self, command: str) -> None:
        """A worker becomes ready, with the model named; the one before it was ended by Ctrl-C."""
        if self.shell.stays("lately worker"):
            self.shell.end("lately worker")
        self.shell.do(command)
        self.shell.wait_ready()

    def send(self, command: str) -> None:
        """An event of u1 comes into the topic, and soon the score as of all there are."""
        before = sum(self.client.ends(EVENTS).values())
        self.shell.do(command)
        assert sum(self.client.ends(EVENTS).values()) == before + 1
        self.shell.wait(self._last_event_is_scored, PATIENCE_S, "score as of the last event of u1")
        # The events are of items that the model knows, and of times that go together.
        score = self.last_score()
        assert (score["n_events"], score["quality"]) == (before + 1, "full")

    def _last_event_is_scored(self) -> bool:
        offsets = [r.offset for r in self.client.read(EVENTS) if r.key == b"u1"]
        return bool(self.last_score().get("as_of", {}).get("offset") == offsets[-1])

    def last_score(self) -> dict[str, Any]:
        """The newest score of u1, empty if there is none."""
        values = [r.value for r in self.client.read(SCORES) if r.key == b"u1" and r.value]
        return dict(json.loads(values[-1])) if values else {}

    def watch(self, command: str) -> None:
        """The scores of u1 are shown, each on a line, until Ctrl-C."""
        self.shell.do(command)
        line = re.compile(r"^\d\d:\d\d:\d\d\.\d{3}  u1  .*\bi\d+ ", re.MULTILINE)
        self._wait_for(command, lambda printed: line.search(printed) is not None)
        self.shell.end(command)

    def consume(self, command: str) -> None:
        """Scores of u1 are printed, and fit the schema."""
        self.shell.do(command)
        self._wait_for(command, lambda printed: printed.endswith("\n"))
        score: Any = json.loads(self.shell.printed(command).splitlines()[0])
        assert score["user_id"] == "u1"
        self._schema.validate(score)
        self.shell.end(command, INTERRUPTED)

    def _wait_for(self, command: str, seen: Callable[[str], bool]) -> None:
        self.shell.wait(
            lambda: seen(self.shell.printed(command)), PATIENCE_S, f"output of {command}"
        )


# How to test a command that starts so.
RULES: tuple[tuple[str, Callable[[Reader, str], None]], ...] = (
    ("make ", Reader.leave_to_ci),
    ("lately topics ", Reader.run),
    ("lately worker ", Reader.work),
    ("lately watch ", Reader.watch),
    ("lately convert ", Reader.run),
    ("lately train ", Reader.run),
    ("lately evaluate ", Reader.run),
    ("lately artifact inspect ", Reader.run),
    ("lately similar ", Reader.run),
    ("lately explain ", Reader.run),
    ("lately together ", Reader.run),
    ("echo ", Reader.send),
    ("kafka-console-consumer.sh ", Reader.consume),
)


def _write_logs(folder: Path) -> None:
    """The reader's own log, in two parts, and items."""
    shop = Shop(seed=3, n_items=80, n_categories=8)
    events = shop.events(40, FIRST_MS, events_per_s=1)
    log = list(islice(events, 900))
    _write_export(folder / "export.csv", log)
    own = (event for event in log if event["user_id"] == log[0]["user_id"])
    _write_lines(folder / "events-of-u1.jsonl", own)
    _write_lines(folder / "later-events.jsonl", islice(events, 60))
    items = ({"item_id": i.item_id, "category": i.category, "title": i.title} for i in shop.items)
    _write_lines(folder / "items.jsonl", items)


def _write_export(path: Path, log: list[dict[str, Any]]) -> None:
    """The log as another system has it: its own columns, names of actions, and seconds."""
    names = {"click": "view", "cart": "add_to_cart", "buy": "purchase"}
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["customer_id", "sku", "event", "time"])
        writer.writerows(
            (event["user_id"], event["item_id"], names[event["action"]], event["ts"] // 1000)
            for event in log
        )


def _write_lines(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


@pytest.fixture
def reader(client: Client, tmp_path: Path) -> Iterator[Reader]:
    if found := TOPICS & client.topics():
        pytest.skip(f"this Kafka has {', '.join(found)}, as somebody uses it")
    try:
        jars = find_jars()
    except Unavailable as reason:
        pytest.skip(f"no console tools: {reason}")
    reader = Reader(client, tmp_path, jars)
    yield reader
    reader.shell.close()
    client.delete_topics(*TOPICS & client.topics())


def test_the_readme_keeps_its_word(reader: Reader) -> None:
    for block in blocks(README):
        reader.follow(block)

    # The model that the README trains has taken over from the one that it began with.
    reader.send("python block.py")
    assert reader.last_score()["model"]["name"] == "lately"
    assert reader.client.read(DEAD) == []
