"""A new model while events flow: nothing is lost, each score is of the model it names."""

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from model.serving import load_scorer
from model.serving.options import ItemList, ScoringOptions
from tests.kafka.artifact import items_of, write_sibling
from tests.kafka.bad_models import make_bad, switch
from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.process import wait_until
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

RELOAD_S = 60.0
PIECE, PER_S = 600, 300


@pytest.fixture
def sibling(artifact: Path, tmp_path: Path) -> Path:
    """Another good model."""
    return write_sibling(artifact, tmp_path / "sibling")


def reloads(worker: Worker, result: str) -> int:
    lines = worker.text("/metrics").splitlines()
    name = f'lately_model_reloads_total{{result="{result}"}} '
    return next(int(float(line.removeprefix(name))) for line in lines if line.startswith(name))


def comes_to(worker: Worker, ok: int, refused: int) -> bool:
    """Whether the worker counts so many reloads in time."""
    wanted = (ok, refused)
    return wait_until(
        lambda: (reloads(worker, "ok"), reloads(worker, "refused")) == wanted, RELOAD_S
    )


@contextmanager
def always_ready(worker: Worker) -> Iterator[None]:
    """Ask for readiness all the while; it must never be denied."""
    stop, said = threading.Event(), []

    def ask() -> None:
        while not stop.wait(0.2):
            said.append(worker.status("/readyz"))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    assert 503 not in said
    assert 200 in said


def test_good_and_bad_models_while_events_flow(
    open_stage: OpenStage, artifact: Path, sibling: Path, load: MakeLoad, tmp_path: Path
) -> None:
    allowed = tmp_path / "allowed.txt"
    allowed.write_text("\n".join(items_of(artifact)))
    bad = make_bad(sibling, tmp_path, allowed_items=True)
    link = tmp_path / "model"
    link.symlink_to(artifact)
    stage = open_stage({"artifact_poll_s": "0.2", "allowed_items": str(allowed)})
    stage.artifact = link
    worker = stage.start().wait_ready()
    targets = [(None, sibling), *bad.items(), (None, artifact)]
    messages = load(0, n_events=PIECE * (len(targets) + 1))
    ok = refused = 0

    with always_ready(worker):
        for number, (word, target) in enumerate(targets):
            flowing = stage.flow(messages[number * PIECE : (number + 1) * PIECE], PER_S)
            switch(link, target)
            ok, refused = (ok + 1, refused) if word is None else (ok, refused + 1)
            assert comes_to(worker, ok, refused), (word, worker.tail())
            flowing.result()
        stage.feed(messages[len(targets) * PIECE :])
        stage.wait_quiet()
    assert worker.exit_code is None
    metrics, log = worker.text("/metrics"), worker.tail(10**6)
    worker.stop()

    lines = [line for line in log.splitlines() if "new model refused" in line]
    assert len(lines) == len(bad)  # one line each, however often it was looked at
    assert [word for word, line in zip(bad, lines, strict=True) if word not in line] == []
    options = ScoringOptions(
        allowed_items=ItemList(str(allowed), frozenset(allowed.read_text().splitlines()))
    )
    models = [Answers(load_scorer(folder, options=options)) for folder in (artifact, sibling)]
    evidence = stage.evidence()
    differences = examine(evidence, models)
    assert not differences, report(differences)
    named = {json.loads(s.value)["model"]["version"] for s in evidence.scores if s.value}
    assert named == {answers.info.version for answers in models}
    assert f'version="{models[0].info.version}"' in metrics
    assert f'version="{models[1].info.version}"' not in metrics


def test_whoever_does_not_want_it_watched_says_when_to_look(
    open_stage: OpenStage, artifact: Path, sibling: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(artifact, folder)
    stage = open_stage({"artifact_poll_s": "0"})
    stage.artifact = folder
    worker = stage.start().wait_ready()
    folder.rename(tmp_path / "before")
    sibling.rename(folder)
    assert reloads(worker, "ok") == 0

    worker.signal(signal.SIGHUP)

    assert wait_until(lambda: reloads(worker, "ok") == 1, RELOAD_S), worker.tail()
    assert 'name="sibling"' in worker.text("/metrics")
    worker.stop()
