"""The accepted actions: those of the settings, else of the first model; none is lost in silence."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from model import serving
from model.scorer import Vocabulary
from model.serving.null import NullScorer
from stream.errors import SettingsError
from stream.metrics import Metrics
from stream.settings import WorkerSettings
from stream.worker.models import model_loading as loading
from stream.worker.models.accepted_actions import AcceptedActions
from stream.worker.models.model_reload import Model, Reloader

DEMO = Path(loading.__file__).parents[3] / "model" / "demo_artifact"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    (tmp_path / "lately").mkdir()  # of the group, as the store makes it
    return tmp_path


def accepted(state_dir: Path, *names: str) -> AcceptedActions:
    """Those of a worker that was given these names, or none."""
    given: dict[str, Any] = {"actions": ",".join(names)} if names else {}
    return AcceptedActions(WorkerSettings.load(artifact=DEMO, state_dir=state_dir, **given))


def restarted(state_dir: Path, known: str, *names: str) -> AcceptedActions:
    """Those of a worker that starts with a model of these actions, and remembers them."""
    found = accepted(state_dir, *names)
    found.fit(frozenset(known.split()))
    found.remember()
    return found


# --- settings and models --------------------------------------------------------------------------


def test_without_a_setting_the_models_actions_are_accepted(state_dir: Path) -> None:
    with capture_logs() as logs:
        found = restarted(state_dir, "view purchase")

    assert (found.names, logs) == (["purchase", "view"], [])


def test_a_setting_wins_over_the_model(state_dir: Path) -> None:
    assert restarted(state_dir, "view purchase", "view").names == ("view",)


def test_an_engine_that_takes_any_action_gets_those_of_the_contract(state_dir: Path) -> None:
    found = accepted(state_dir)
    found.fit(None)

    assert found.names == ("click", "cart", "buy")


def test_the_actions_of_an_artifact_are_accepted(state_dir: Path) -> None:
    found = accepted(state_dir)
    loading.load_model(WorkerSettings.load(artifact=DEMO, state_dir=state_dir), found)

    assert found.names == ["buy", "cart", "click"]


def test_more_actions_than_a_state_can_hold_are_refused(state_dir: Path) -> None:
    with pytest.raises(SettingsError, match="knows 256, a worker accepts at most 255"):
        restarted(state_dir, " ".join(f"a{n}" for n in range(256)))


def test_a_model_that_knows_no_accepted_action_is_refused_with_both_lists(state_dir: Path) -> None:
    with pytest.raises(SettingsError) as error:
        restarted(state_dir, "buy cart click", "view", "purchase")

    line = str(error.value)
    assert (error.value.exit_code, "\n" in line) == (2, False)
    assert "accepts view, purchase" in line and "knows only buy, cart, click" in line
    assert "--actions" in line and str(DEMO) in line


def test_accepted_actions_that_the_model_does_not_know_are_named(state_dir: Path) -> None:
    with capture_logs() as logs:
        restarted(state_dir, "click cart", "click", "view", "wish")

    assert [line["unknown"] for line in logs] == ["view, wish"]


@pytest.mark.parametrize("known", [None, frozenset({"click", "wish", "view"})])
def test_a_model_that_knows_every_accepted_action_serves_without_a_word(
    known: frozenset[str] | None, state_dir: Path
) -> None:
    with capture_logs() as logs:
        accepted(state_dir, "click", "wish").fit(known)

    assert logs == []


@pytest.mark.parametrize(
    ("settings", "intents", "kept"),
    [
        ({"actions": "click"}, "buy, cart", None),
        ({"actions": "click,buy"}, "cart", None),
        ({"sequence_length": 10}, None, 10),
        ({"actions": "click", "sequence_length": 49}, "buy, cart", 49),
        ({}, None, None),
    ],
)
@pytest.mark.parametrize("when", ["start", "reload"])
def test_what_a_model_reads_or_predicts_in_vain_is_said(
    settings: dict[str, Any], intents: str | None, kept: int | None, when: str, state_dir: Path
) -> None:
    given = WorkerSettings.load(artifact=DEMO, state_dir=state_dir, batch_users=1, **settings)
    found = AcceptedActions(given)
    metrics = Metrics(CollectorRegistry())
    reloader = Reloader(DEMO, lambda: loading.load_model(given, found), lambda _: None, metrics)
    with capture_logs() as logs:
        reloader.start()
    if when == "reload":
        with capture_logs() as logs:
            asyncio.run(reloader.reload())

    said = [line for line in logs if line["log_level"] == "warning"]
    assert [line["intents"] for line in said if "intents" in line] == [intents] * bool(intents)
    lengths = [(line["window"], line["sequence_length"]) for line in said if "window" in line]
    assert lengths == [(50, kept)] * bool(kept)
    assert len(said) == bool(intents) + bool(kept)


# --- another model while it runs ------------------------------------------------------------------


def test_a_new_model_changes_nothing_that_is_accepted(state_dir: Path) -> None:
    found = restarted(state_dir, "click cart")
    with capture_logs() as logs:
        found.fit(frozenset({"click", "wish"}))

    assert found.names == ["cart", "click"]
    lacking, more = logs
    assert lacking["unknown"] == "cart"
    assert more["actions"] == "wish" and "once it is restarted" in more["event"]


def test_a_new_model_without_a_common_action_is_refused_and_the_old_one_serves_on(
    monkeypatch: pytest.MonkeyPatch, state_dir: Path
) -> None:
    class OtherShop(NullScorer):
        vocabulary = Vocabulary(frozenset({"view"}), None)

    settings = WorkerSettings.load(artifact=DEMO, state_dir=state_dir)
    found = AcceptedActions(settings)
    served: list[Model] = []
    metrics = Metrics(CollectorRegistry())
    reloader = Reloader(DEMO, lambda: loading.load_model(settings, found), served.append, metrics)
    reloader.start()
    monkeypatch.setattr(serving, "load_scorer", lambda *arguments: OtherShop())

    with capture_logs() as logs:
        asyncio.run(reloader.reload())

    assert served == []
    (line,) = logs
    assert "new model refused" in line["event"] and "knows only view" in line["event"]


# --- another model after a restart ----------------------------------------------------------------


def test_actions_that_a_restart_no_longer_accepts_are_named_once(state_dir: Path) -> None:
    restarted(state_dir, "click cart buy")
    with capture_logs() as logs:
        restarted(state_dir, "click wish")
        restarted(state_dir, "click wish")

    (line,) = logs
    assert line["actions"] == "buy, cart" and "dead letters now" in line["event"]


def test_a_setting_takes_actions_away_without_a_word(state_dir: Path) -> None:
    restarted(state_dir, "click cart buy")
    with capture_logs() as logs:
        restarted(state_dir, "click cart buy", "click")

    assert logs == []


def test_a_restart_with_the_model_of_another_shop_is_refused(state_dir: Path) -> None:
    restarted(state_dir, "click cart buy")
    with pytest.raises(SettingsError) as error:
        restarted(state_dir, "view purchase")

    line = str(error.value)
    assert "knows only purchase, view, but buy, cart, click were accepted before this start" in line
    assert restarted(state_dir, "view purchase", "view").names == ("view",)  # if that is meant


@pytest.mark.parametrize("content", ["", "{", "7", "[[]]"])
def test_a_memory_that_cannot_be_read_is_none(content: str, state_dir: Path) -> None:
    (state_dir / "lately" / "actions.json").write_text(content)

    assert restarted(state_dir, "view").names == ["view"]
