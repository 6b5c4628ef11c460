"""The soak: an hour of one worker that must live on, while everything around it goes wrong.

``python -m tests.chaos.soak --minutes 60``. Worker a is never killed: its memory, descriptors and
threads must stay as they are. Worker b comes and goes in every way, the broker and the links fail,
models are exchanged, and nonsense flows. In the end the oracle looks at all of it.
"""

import json
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer

from tests.chaos.cluster import cluster
from tests.chaos.fuzz import fuzzed
from tests.chaos.outcome import Outcome
from tests.chaos.run import Run
from tests.chaos.vitals import Vitals
from tests.kafka.artifact import find_artifact, items_of, write_sibling
from tests.kafka.bad_models import make_bad, switch
from tests.kafka.load import Load
from tests.kafka.message import Message
from tests.oracle.hashing import partition_of

PER_S = 150
USERS = 5_000
CACHE_USERS = 1_000  # full in the warm-up: what grows later is no shopper who is remembered
WARM_UP_S = 900.0  # at this rate RocksDB's write buffers are full for the first time after twelve
MOMENT_S = (8.0, 20.0)  # between two faults
ORACLE_S = 1800.0


class Soak:
    """One run, its two workers, and what befalls them."""

    def __init__(self, run: Run, models: list[Path], link: Path) -> None:
        self._run, self._models, self._link = run, models, link
        self._random = run.random
        self._vitals: list[Vitals] = []
        self._watched: set[int] = set()
        self.faults: dict[str, int] = {}

    def play(self, minutes: float) -> None:
        """Let one fault follow the other."""
        self._run.start("a").wait_ready()
        self._watch()
        deadline_s = time.monotonic() + minutes * 60
        faults: list[Callable[[], None]] = [
            self._kill, self._stop, self._lose_disk, self._cut, self._slow, self._stall,
            self._freeze_broker, self._restart_broker, self._fuzz, self._repeat, self._crowd,
            self._forget, self._exchange_model,
        ]  # fmt: skip
        while time.monotonic() < deadline_s:
            deck = self._random.sample(faults, len(faults))
            for fault in deck:
                if time.monotonic() > deadline_s:
                    return
                self._between(fault)

    def close(self) -> list[Vitals]:
        """The vitals of each life of worker a."""
        for vitals in self._vitals:
            vitals.close()
        return self._vitals

    def _between(self, fault: Callable[[], None]) -> None:
        """A fault in the middle of a moment of traffic."""
        name = fault.__name__.strip("_").replace("_", "-")
        moment_s = self._random.uniform(*MOMENT_S)
        flowing = self._run.flow(int(moment_s * PER_S), per_s=PER_S)
        time.sleep(moment_s / 4)
        self._run.say(name)
        self.faults[name] = self.faults.get(name, 0) + 1
        fault()
        flowing.result()
        self._run.revive()
        self._watch()

    def _watch(self) -> None:
        worker = self._run.workers.get("a")
        if worker is not None and worker.pid not in self._watched:
            self._watched.add(worker.pid)
            self._vitals.append(Vitals(worker.pid, worker.state_dir))

    # --- what befalls worker b ----------------------------------------------------------------

    def _b(self) -> None:
        if "b" not in self._run.workers:
            self._run.start("b").wait_ready()
        self._run.stage.interruptions += 2  # the partitions come, and go

    def _kill(self) -> None:
        self._b()
        time.sleep(self._random.uniform(0.0, 3.0))
        self._run.kill("b")

    def _stop(self) -> None:
        self._b()
        time.sleep(self._random.uniform(0.0, 3.0))
        self._run.stop("b")

    def _lose_disk(self) -> None:
        self._b()
        folder = self._run.workers["b"].state_dir
        self._run.kill("b")
        shutil.rmtree(folder)
        self._b()

    def _stall(self) -> None:
        self._b()
        self._run.cluster.links["b"].stall(*self._random.choice([("back",), ("out", "back")]))
        time.sleep(12.0)
        self._run.cluster.links["b"].heal()
        self._run.stage.interruptions += 2  # who meets what b sent takes its partitions anew

    # --- what befalls both --------------------------------------------------------------------

    def _cut(self) -> None:
        for link in self._run.cluster.links.values():
            link.reset()
        self._run.stage.interruptions += 2

    def _slow(self) -> None:
        link = self._run.cluster.links["a"]
        link.slow(0.2)
        time.sleep(5.0)
        link.heal()
        self._run.stage.interruptions += 1

    def _freeze_broker(self) -> None:
        self._run.cluster.broker.freeze()
        time.sleep(5.0)
        self._run.cluster.broker.thaw()
        self._run.stage.interruptions += 2

    def _restart_broker(self) -> None:
        self._run.cluster.broker.kill()
        time.sleep(4.0)
        self._run.cluster.broker.resume()
        self._run.stage.interruptions += 2

    # --- what befalls the messages and the model -------------------------------------------------

    def _fuzz(self) -> None:
        self._run.stage.feed([fuzzed(self._random, m) for m in self._run.take(500)])

    def _repeat(self) -> None:
        self._run.stage.feed([m for m in self._run.take(200) for _ in range(2)])

    def _crowd(self) -> None:
        at = self._run.take(1_500)
        self._run.stage.feed([_said(m, "hot", n) for n, m in enumerate(at)])

    def _forget(self) -> None:
        users = {m.key for m in self._run.messages[:400] if m.key}
        near = self._run.messages[0].timestamp_ms
        self._run.stage.feed([_forget(key, near) for key in sorted(users)[:50] if _is_text(key)])

    def _exchange_model(self) -> None:
        """A bad one is refused, and stays no longer: a worker that starts with it would end."""
        switch(self._link, self._random.choice(self._models))
        time.sleep(3.0)
        switch(self._link, self._random.choice(self._run.models))


def _said(good: Message, user: str, number: int) -> Message:
    body = {
        "user_id": user,
        "item_id": f"i{number % 97}",
        "action": "click",
        "ts": good.timestamp_ms,
    }
    key = user.encode()
    return Message(partition_of(key, 4), good.timestamp_ms, key, json.dumps(body).encode())


def _forget(key: bytes, at_ms: int) -> Message:
    body = {"user_id": key.decode(), "action": "forget"}
    return Message(partition_of(key, 4), at_ms, key, json.dumps(body).encode())


def _is_text(key: bytes) -> bool:
    try:
        return bool(key.decode())
    except UnicodeDecodeError:
        return False


def soak(minutes: float, seed: int, folder: Path) -> Outcome:
    """Play, let it come to rest, and ask the oracle."""
    good = find_artifact()
    sibling = write_sibling(good, folder / "sibling")
    models = [good, sibling, *make_bad(sibling, folder).values()]
    link = folder / "model"
    link.symlink_to(good)
    events = int(minutes * 60 * PER_S * 1.3) + 20_000
    messages = Load(seed, items_of(good), events, USERS).messages()
    with cluster("linked", folder / "kafka") as own:
        run = Run("soak", seed, own, folder, link, messages)
        run.stage.settings["artifact_poll_s"] = "0.5"
        run.stage.settings["cache_users"] = str(CACHE_USERS)
        run.let_records_come_late()
        run.models = [good, sibling]
        play = Soak(run, models, link)
        try:
            run.stage.open()
            play.play(minutes)
            run.healed()
            del run.messages[2_000:]
            result = run.finish(ORACLE_S)
        finally:
            lives = play.close()
            run.close()
    longest = max(lives, key=lambda vitals: len(vitals.samples))
    return Outcome(
        seed,
        minutes,
        result.events,
        play.faults,
        result.differences,
        result.first,
        len(lives),
        min(WARM_UP_S, minutes * 60 / 4),
        longest.samples,
    )


def main(
    minutes: Annotated[float, typer.Option(help="How long things go wrong.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Of the load, and of the order of faults.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Append the outcome to this file.")] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Where a failing run leaves its folder.")
    ] = None,
) -> None:
    """Let an hour of faults pass, and say what it came to."""
    logging.disable(logging.ERROR)  # what aiokafka says of brokers that we kill helps nobody
    folder = Path(mkdtemp(prefix="lately-soak-"))
    failures = ["it broke off"]
    try:
        outcome = soak(minutes, seed, folder)
        failures = outcome.failures
        typer.echo(outcome.describe())
        typer.echo("\n".join(f"FAILED: {line}" for line in failures) or "held")
        if out:
            with out.open("a", encoding="utf-8") as file:
                file.write(outcome.to_json() + "\n")
    finally:
        if failures and keep:
            shutil.rmtree(keep / f"soak-{seed}", ignore_errors=True)
            shutil.copytree(folder, keep / f"soak-{seed}", symlinks=True)
        shutil.rmtree(folder, ignore_errors=True)
    raise typer.Exit(1 if failures else 0)


if __name__ == "__main__":
    typer.run(main)
