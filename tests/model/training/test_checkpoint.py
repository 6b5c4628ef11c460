"""A checkpoint resumes the run that wrote it, and no other."""

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from model.config import ArtifactConfig
from model.data.log import EventLog, Item
from model.errors import DataError
from model.networks.sequence import SequenceModel
from model.synthetic.shop import Shop
from model.training import fingerprint as fingerprints
from model.training.checkpoint import Checkpoint
from model.training.plan import Plan, Privacy, Recipe, Weights
from model.training.sequence.co_occurrence import count
from model.training.sequence.fit import build, fit
from model.training.training_data import TrainingData, read

pytestmark = pytest.mark.timeout(400)  # libraries to load and a model to train, one core shared

PLAN = Plan(ArtifactConfig(horizon_s=120), Recipe(epochs=1), width=8)
EMPTY = {"step": 7}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    events = itertools.islice(Shop(3).events(40, 1_790_000_000_000), 800)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return EventLog.open([path])


@pytest.fixture(scope="module")
def data(log: EventLog) -> TrainingData:
    return read(log, PLAN, {})


def untrained(data: TrainingData, plan: Plan) -> SequenceModel:
    return build(data, plan, count(data.learnt, len(data.catalogue)))


def checkpoint(
    data: TrainingData,
    plan: Plan,
    folder: Path,
    network: SequenceModel | None = None,
    processes: int = 1,
) -> Checkpoint:
    network = network or untrained(data, plan)
    found = Checkpoint.of("search", data, replace(plan, checkpoints=folder), network, processes)
    assert found is not None
    return found


def test_a_checkpoint_is_read_by_the_run_that_wrote_it(data: TrainingData, tmp_path: Path) -> None:
    checkpoint(data, PLAN, tmp_path).save(EMPTY)

    found = checkpoint(data, PLAN, tmp_path).load()

    assert found is not None and found["step"] == 7


@pytest.mark.parametrize(
    "change",
    [
        lambda plan: replace(plan, recipe=replace(plan.recipe, minutes=3.0)),
        lambda plan: replace(plan, refit=False),
        lambda plan: replace(plan, config=replace(plan.config, name="other")),
    ],
    ids=["minutes", "refit", "name"],
)
def test_what_does_not_change_a_step_may_differ(
    change: Callable[[Plan], Plan], data: TrainingData, tmp_path: Path
) -> None:
    checkpoint(data, PLAN, tmp_path).save(EMPTY)

    assert checkpoint(data, change(PLAN), tmp_path).load() is not None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda plan: replace(plan, held_out=0.2), "--held-out 0.1 (now 0.2)"),
        (lambda plan: replace(plan, width=16), "--dim 8 (now 16)"),
        (lambda plan: replace(plan, blocks=2), "--blocks 1 (now 2)"),
        (lambda plan: replace(plan, recipe=replace(plan.recipe, seed=1)), "--seed 0 (now 1)"),
        (lambda plan: replace(plan, recipe=replace(plan.recipe, epochs=2)), "--epochs 1 (now 2)"),
        (
            lambda plan: replace(plan, recipe=replace(plan.recipe, weights=Weights(draws=9))),
            "--draws 2048 (now 9)",
        ),
        (
            lambda plan: replace(plan, config=replace(plan.config, horizon_s=60)),
            "--horizon-s 120 (now 60)",
        ),
        (
            lambda plan: replace(plan, config=replace(plan.config, intents=("buy",))),
            "--intents cart,buy (now buy)",
        ),
        (
            lambda plan: replace(plan, config=replace(plan.config, network="gru")),
            "--network transformer (now gru)",
        ),
    ],
)
def test_another_plan_is_refused_and_named(
    change: Callable[[Plan], Plan], told: str, log: EventLog, data: TrainingData, tmp_path: Path
) -> None:
    checkpoint(data, PLAN, tmp_path).save(EMPTY)
    plan = change(PLAN)

    with pytest.raises(DataError) as refused:
        checkpoint(read(log, plan, {}), plan, tmp_path).load()

    line = str(refused.value)
    assert line.startswith(f"{tmp_path / 'search.pt'}: belongs to a training with ")
    assert told in line
    assert line.endswith("; train as then to resume it, or remove it to start over")
    assert "\n" not in line


def changed(value: Any) -> Iterator[Any]:
    """Groups of fields with one field changed each, all the way down."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if field.name not in (*fingerprints.FREE, *fingerprints.PATHS):
                for other in changed(getattr(value, field.name)):
                    # Past the checks of a configuration, which are not meant here.
                    copied = copy.copy(value)
                    object.__setattr__(copied, field.name, other)
                    yield copied
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int | float):
        yield value + 1
    elif isinstance(value, tuple):
        yield (*value, 7)
    else:
        yield Privacy(1.0) if value is None else f"{value}x"


def test_whatever_is_changed_in_a_plan_changes_its_fingerprint() -> None:
    """Also a field that is added tomorrow: sizes of batches, rates, weights, the seed."""
    own = fingerprints._choices(asdict(PLAN))

    others = [fingerprints._choices(asdict(plan)) for plan in changed(PLAN)]

    assert len(others) > 30
    assert [plan for plan in others if plan == own] == []


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_checkpoint_that_is_cut_off_is_refused_in_one_line(
    share: float, data: TrainingData, tmp_path: Path
) -> None:
    """Such as by a disk that was full, or a copy that was broken off."""
    checkpoint(data, PLAN, tmp_path).save({"step": 7, "weights": torch.zeros(1_000)})
    path = tmp_path / "search.pt"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])

    with pytest.raises(
        DataError, match=r"search\.pt: cannot be read \(.*remove it to start over"
    ) as e:
        checkpoint(data, PLAN, tmp_path).load()
    assert "\n" not in str(e.value)


def test_a_text_in_the_place_of_a_checkpoint_is_refused_in_one_line(
    data: TrainingData, tmp_path: Path
) -> None:
    (tmp_path / "search.pt").write_text("no checkpoint\n")

    with pytest.raises(DataError, match="cannot be read") as refused:
        checkpoint(data, PLAN, tmp_path).load()
    assert "\n" not in str(refused.value)


def test_a_folder_in_the_place_of_a_checkpoint_is_refused_in_one_line(
    data: TrainingData, tmp_path: Path
) -> None:
    (tmp_path / "search.pt").mkdir()

    with pytest.raises(DataError, match="cannot be read"):
        checkpoint(data, PLAN, tmp_path).load()


def test_another_list_of_items_is_refused(
    log: EventLog, data: TrainingData, tmp_path: Path
) -> None:
    """An item more moves the rows of all that follow it; a title more changes what is learnt."""
    checkpoint(data, PLAN, tmp_path).save(EMPTY)
    known = data.catalogue.items[0]

    for items in ({"a-new-one": Item("a-new-one", None, None)}, {known: Item(known, None, "lamp")}):
        with pytest.raises(DataError, match="with another list of items;"):
            checkpoint(read(log, PLAN, items), PLAN, tmp_path).load()


def test_a_log_that_was_read_otherwise_is_refused(data: TrainingData, tmp_path: Path) -> None:
    """The file is the same, but what was taken from it is not."""
    checkpoint(data, PLAN, tmp_path).save(EMPTY)
    later = data.whole._replace(times_ms=data.whole.times_ms + 1)

    with pytest.raises(DataError, match="with another reading of the log;"):
        checkpoint(data._replace(whole=later), PLAN, tmp_path).load()


def test_another_number_of_processes_is_refused(data: TrainingData, tmp_path: Path) -> None:
    """A step takes one batch for each process."""
    checkpoint(data, PLAN, tmp_path, processes=2).save(EMPTY)

    with pytest.raises(DataError, match=r"number of processes 2 \(now 1\)"):
        checkpoint(data, PLAN, tmp_path).load()


def test_a_network_of_another_shape_is_refused(data: TrainingData, tmp_path: Path) -> None:
    """Such as by another text encoder, which no option names."""
    checkpoint(data, PLAN, tmp_path).save(EMPTY)
    network = untrained(data, PLAN)
    network.config.text_source = {"name": "other", "sha256": "0" * 64}

    with pytest.raises(DataError, match="with another network;"):
        checkpoint(data, PLAN, tmp_path, network).load()


def test_another_version_is_refused(
    data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint(data, PLAN, tmp_path).save(EMPTY)
    monkeypatch.setattr(fingerprints, "_version", lambda: "99.0")

    with pytest.raises(DataError, match=r"with version of Lately \S+ \(now 99\.0\);"):
        checkpoint(data, PLAN, tmp_path).load()


@pytest.mark.parametrize("content", [{"fingerprint": "0123", "step": 7}, {}, [1]])
def test_what_an_older_version_wrote_is_refused(
    content: object, data: TrainingData, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "search.pt")

    with pytest.raises(DataError, match="with another version of Lately;"):
        checkpoint(data, PLAN, tmp_path).load()


def test_what_differs_is_named_up_to_three() -> None:
    found = {str(number): "0" for number in range(5)}
    own = {str(number): "1" for number in range(5)}

    told = fingerprints.difference(found, own)

    assert told == "0 0 (now 1), 1 0 (now 1), 2 0 (now 1) and 2 more"


def test_training_with_another_held_out_share_does_not_resume(
    log: EventLog, data: TrainingData, tmp_path: Path
) -> None:
    """It would have learnt from events that are now held out."""
    plan = replace(PLAN, checkpoints=tmp_path)
    fit(data, plan, lambda _: None)
    other = replace(plan, held_out=0.3)

    with pytest.raises(DataError, match=r"search\.pt: .* --held-out 0\.1 \(now 0\.3\)"):
        fit(read(log, other, {}), other, lambda _: None)
