"""A model is tried out before it serves, and what it is measured by decides its batches."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from model import serving
from model.scorer import Score
from model.sequence import Sequence as Actions
from model.serving.null import NullScorer
from stream.errors import ScoringError
from stream.settings import WorkerSettings
from stream.worker.model_loading import load_model


class Broken(NullScorer):
    """Gives what is no probability."""

    def score(self, sequences: Sequence[Actions]) -> list[Score]:
        return [Score([("i1", 1.5)], [], {}, "full") for _ in sequences]


def settings(tmp_path: Path, **flags: str) -> WorkerSettings:
    return WorkerSettings.load(artifact=tmp_path, state_dir=tmp_path, scorer="null", **flags)


def test_a_model_that_breaks_its_contract_is_never_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "load_scorer", lambda *arguments: Broken())

    with pytest.raises(ScoringError, match="expected probabilities"):
        load_model(settings(tmp_path))


def test_batches_close_at_the_users_and_the_deadline_asked_for(tmp_path: Path) -> None:
    policy = load_model(settings(tmp_path, batch_users="7", batch_deadline_ms="250")).policy

    assert (policy.close_users, policy.deadline_s) == (7, 0.25)
    assert policy.max_users >= 7


def test_a_batch_may_always_be_as_large_as_it_is_when_it_closes(tmp_path: Path) -> None:
    policy = load_model(settings(tmp_path, batch_users="9000")).policy

    assert policy.max_users == policy.close_users == 9_000


def test_without_a_number_it_is_measured(tmp_path: Path) -> None:
    assert load_model(settings(tmp_path)).policy.close_users >= 1
