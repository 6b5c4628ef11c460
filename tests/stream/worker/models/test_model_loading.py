"""Settings become the options of the scorer, and what cannot be kept stops the start."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from model import serving
from model.scorer import Score
from model.sequence import Sequence as Actions
from model.serving.null import NullScorer
from model.serving.options import NO_OPTIONS, ItemList, ScoringOptions
from stream.errors import ScoringError, SettingsError
from stream.pipeline.batcher import BatchPolicy
from stream.settings import WorkerSettings
from stream.worker.models import model_loading as loading
from stream.worker.models.accepted_actions import AcceptedActions

DEMO = Path(loading.__file__).parents[3] / "model" / "demo_artifact"


def load(**flags: Any) -> None:
    loading.load_scorer(WorkerSettings.load(artifact=DEMO, state_dir="state", **flags))


def refusal(**flags: Any) -> str:
    with pytest.raises(SettingsError) as error:
        load(**flags)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[ScoringOptions]:
    """The options with which scorers were loaded."""
    found: list[ScoringOptions] = []

    def load_scorer(*arguments: Any) -> NullScorer:
        found.append(arguments[-1])
        return NullScorer()

    monkeypatch.setattr(serving, "load_scorer", load_scorer)
    return found


def test_no_setting_is_no_option(given: list[ScoringOptions]) -> None:
    load()

    assert given == [NO_OPTIONS]


def test_every_option_has_its_setting(given: list[ScoringOptions], tmp_path: Path) -> None:
    path = tmp_path / "items"
    path.write_text("i1\n")

    load(
        exclude_seen="true",
        allowed_items=str(path),
        blocked_items=str(path),
        max_per_category="3",
        diversity="0.25",
        recency_temperature="0.5",
        user_vector="true",
    )

    listed = ItemList(str(path), frozenset({"i1"}))
    assert given == [ScoringOptions(True, listed, listed, 3, 0.25, 0.5, True)]


def test_a_list_that_is_not_there_ends_the_start_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "gone"

    assert refusal(blocked_items=str(path)).startswith(f"{path}: cannot be read")


def test_a_list_of_strangers_ends_the_start_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "items"
    path.write_text("nobody\nknows\n")

    assert refusal(allowed_items=str(path)).startswith(
        f"{path}: names no item of the catalogue (2 ids"
    )


def test_the_null_engine_takes_no_options() -> None:
    assert "null engine" in refusal(scorer="null", exclude_seen="true")


class InvalidScorer(NullScorer):
    """Returns scores that are not probabilities."""

    def score(self, sequences: Sequence[Actions]) -> list[Score]:
        return [Score([("i1", 1.5)], [], {}, "full") for _ in sequences]


def policy(**flags: Any) -> BatchPolicy:
    settings = WorkerSettings.load(artifact=DEMO, state_dir="state", scorer="null", **flags)
    return loading.load_model(settings, AcceptedActions(settings)).policy


def test_model_that_returns_invalid_scores_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "load_scorer", lambda *arguments: InvalidScorer())

    with pytest.raises(ScoringError, match="expected probabilities"):
        policy()


def test_batch_policy_has_the_users_and_the_deadline_of_the_settings() -> None:
    given = policy(batch_users="7", batch_deadline_ms="250")

    assert (given.close_users, given.deadline_s) == (7, 0.25)
    assert given.max_users >= 7


def test_batch_may_grow_to_the_size_at_which_it_closes() -> None:
    given = policy(batch_users="9000")

    assert given.max_users == given.close_users == 9_000


def test_batch_users_are_measured_when_not_set() -> None:
    assert policy().close_users >= 1
