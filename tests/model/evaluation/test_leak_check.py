"""Leaks: training must not read held-out events, and no answer may depend on later events."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch

from model.baselines import BASELINES
from model.config import ArtifactConfig
from model.data.dataset import Histories, Period
from model.data.log import EventLog
from model.evaluation.exam import Exam
from model.synthetic.shop import Shop
from model.training.plan import Plan, Recipe
from model.training.sequence.fit import Run
from model.training.training_data import read
from tests.model import leak_check
from tests.model.shop_log import CATALOGUE, CONFIG, Spy, histories

pytestmark = pytest.mark.timeout(400)  # libraries to load, one core shared

PLAN = Plan(ArtifactConfig(), Recipe(), held_out=0.2)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    path: Path = tmp_path_factory.mktemp("log") / "events.jsonl"
    events = itertools.islice(Shop(5).events(20, 1_790_000_000_000), 600)
    path.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    return EventLog.open([path])


def late(log: EventLog) -> EventLog:
    """The log with other held-out events."""
    start_ms = read(log, PLAN, {}).held_out.start_ms
    return replace(log, frame=leak_check.altered(log.frame, start_ms))


def test_training_reads_no_held_out_event(log: EventLog) -> None:
    assert leak_check.leaks(log, PLAN) == []


def test_a_leak_is_found(log: EventLog, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Histories.until
    monkeypatch.setattr(Histories, "until", lambda self, _: honest(self, 1 << 60))

    assert {"items", "actions", "next items"} <= set(leak_check.leaks(log, PLAN))


def test_exactly_the_held_out_events_are_altered(log: EventLog) -> None:
    start_ms = read(log, PLAN, {}).held_out.start_ms
    before, after = log.frame.collect(), late(log).frame.collect()
    same = (before["item_id"] == after["item_id"]) | (before["action"] == after["action"])

    assert same.equals(before["ts"] < start_ms, check_names=False)
    assert before.select("user_id", "ts").equals(after.select("user_id", "ts"))
    assert set(before["item_id"]) == set(after["item_id"])


def test_weights_do_not_depend_on_the_held_out_events(log: EventLog) -> None:
    """After a fixed number of steps, as held-out events may only decide how many."""
    torch.set_num_threads(1)  # more of them add up in any order
    weights = []
    for events in (log, late(log)):
        data = read(events, PLAN, {})
        run = Run(data, PLAN, lambda _: None)
        objective = run._objective(data.learnt)
        run._trainer("search", objective, run.learnt, lambda _: None, PLAN).repeat(5)
        state = objective.network.state_dict()
        weights.append({name: tensor.numpy().tobytes() for name, tensor in state.items()})

    assert weights[0] == weights[1]


def test_no_answer_depends_on_later_events() -> None:
    log = histories("abcabcab", "ccabbacb")  # seconds 0 to 7, and 8 to 15
    later = log._replace(items=log.items.copy(), actions=log.actions.copy())
    cut = log.times_ms % 8_000 >= 5_000
    later.items[cut], later.actions[cut] = 2 - later.items[cut], 2

    shown = []
    for histories_of in (log, later):
        exam = Exam.of(histories_of, CATALOGUE, CONFIG, Period(-1, 1 << 60))
        before = exam.questions.take(~cut[np.maximum(exam.questions.end - 1, 0)])
        asked = replace(exam, questions=before)
        spy = Spy("abc")
        asked.ask_scorer(spy)
        fitted = BASELINES["rules"](histories_of.until(3_000), len(CATALOGUE))
        shown.append((spy.asked, asked.ask_baseline(fitted).items.tolist()))

    assert shown[0] == shown[1]
