"""A batch size is measured once for each model, machine, version and set of options."""

from pathlib import Path
from typing import Any

import pytest

from model import serving
from model.scorer import ModelInfo
from model.serving.null import NullScorer
from stream.settings import WorkerSettings
from stream.worker.models import batch_size
from stream.worker.models import model_loading as loading
from stream.worker.models.accepted_actions import AcceptedActions
from stream.worker.models.batch_size import MeasuredBatchSize

INFO = ModelInfo("shop", "cafe00000000", "cpu", horizon_s=1800)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "lately").mkdir()
    return tmp_path


def settings(folder: Path, **flags: Any) -> WorkerSettings:
    return WorkerSettings.load(artifact="a", state_dir=str(folder), scorer="null", **flags)


def memory(folder: Path, info: ModelInfo = INFO, **flags: Any) -> MeasuredBatchSize:
    return MeasuredBatchSize(settings(folder, **flags), info)


def test_what_was_measured_is_found_after_a_restart(folder: Path) -> None:
    memory(folder).remember(128)

    assert memory(folder).find() == 128


def test_another_model_or_option_is_measured_again(folder: Path) -> None:
    memory(folder).remember(128)

    assert memory(folder, INFO._replace(version="beef00000000")).find() is None
    assert memory(folder, diversity="0.5").find() is None


def test_another_machine_or_version_is_measured_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory(folder).remember(128)

    with monkeypatch.context() as other:
        other.setattr(batch_size, "_processor", lambda: "a faster one")
        assert memory(folder).find() is None
    with monkeypatch.context() as other:
        other.setattr(batch_size, "version", lambda name: "9.9")
        assert memory(folder).find() is None
    assert memory(folder).find() == 128


@pytest.mark.parametrize("text", ["", "[1]", "{}", "null", '{"users": 128}'])
def test_a_file_that_says_nothing_is_as_none(folder: Path, text: str) -> None:
    memory(folder).remember(128)
    (folder / "lately" / "batch_users.json").write_text(text)

    assert memory(folder).find() is None


def test_a_size_that_cannot_be_written_down_is_measured_again(tmp_path: Path) -> None:
    memory(tmp_path / "gone").remember(128)

    assert memory(tmp_path / "gone").find() is None


class Measured:
    """Loads models; counts how often one was measured."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, device: str = "cpu") -> None:
        self.count = 0
        scorer = NullScorer()
        monkeypatch.setattr(scorer, "info", scorer.info._replace(device=device), raising=False)
        monkeypatch.setattr(serving, "load_scorer", lambda *arguments: scorer)
        monkeypatch.setattr(loading, "measure_service_curve", self._measure)

    def _measure(self, scorer: NullScorer) -> list[serving.Service]:
        self.count += 1
        return [serving.Service(1, 1.0), serving.Service(32, 1.0)]

    def close_users(self, folder: Path, **flags: Any) -> int:
        wanted = settings(folder, **flags)
        return loading.load_model(wanted, AcceptedActions(wanted)).policy.close_users


def test_a_restarted_worker_takes_the_size_of_its_first_start(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(monkeypatch)

    assert [measured.close_users(folder), measured.close_users(folder)] == [32, 32]
    assert measured.count == 1


def test_a_size_that_is_given_is_not_measured(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = Measured(monkeypatch)

    assert measured.close_users(folder, batch_users="7") == 7
    assert measured.count == 0


def test_a_gpu_is_measured_at_every_start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = Measured(monkeypatch, device="cuda")

    assert [measured.close_users(folder), measured.close_users(folder)] == [32, 32]
    assert measured.count == 2
