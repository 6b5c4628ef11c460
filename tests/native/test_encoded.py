"""Scores that the native core encodes are those of the reference, byte for byte."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from model.artifact.artifact import Artifact
from model.artifact.calibration import Calibration
from model.scorer import EncodedScore
from model.sequence import Sequence
from model.serving.onnx import OnnxScorer
from stream.pipeline.encoding import ScoreEncoder
from stream.pipeline.scoring import _predict, count_unknown_items
from stream.pipeline.users.snapshot_sequences import SnapshotSequences
from stream.user_state import Rules
from tests.model.serving.answering.test_newcomers import CURVE, with_curve
from tests.native.folds import Native
from tests.stream.fakes import NOW_MS, FakeMessage, click, forget

core = pytest.importorskip("lately_native", reason="needs the native core: make native")

pytestmark = pytest.mark.timeout(400)  # libraries to load and a graph to export, one core shared

RULES = Rules(20, 64, 1000, 10**7, 10**9)


@pytest.fixture(scope="module", params=["no curve", "a curve"])
def scorer(
    request: pytest.FixtureRequest,
    tiny_artifact: Artifact,
    tmp_path_factory: pytest.TempPathFactory,
) -> OnnxScorer:
    """A scorer without newcomers, and one with them."""
    if request.param == "no curve":
        return OnnxScorer(tiny_artifact)
    folder: Path = tmp_path_factory.mktemp("curve") / "artifact"
    return OnnxScorer(with_curve(tiny_artifact, folder, CURVE.to_json()))


def visits(scorer: OnnxScorer) -> list[FakeMessage]:
    """Users of known items, unknown ones, both, none, and one who is forgotten, by turns."""
    random, messages = Random(0), list[FakeMessage]()
    items = [*scorer.catalogue.items[:5], "new-1", "new-2"]
    for offset in range(400):
        user = random.randrange(60)
        known = items[5:] if user % 7 == 0 else items[:5] if user % 7 < 4 else items
        ts_ms = NOW_MS + offset * 60_000
        category = random.choice((None, "own"))
        message = click(
            f"u{user}", offset, item_id=random.choice(known), ts=ts_ms, category=category
        )
        message.timestamp = ts_ms
        messages.append(message)
    late = click("late", 401, ts=NOW_MS)
    return [*messages, forget("u5", 400), late, click("late", 402, ts=NOW_MS + 10**7)]


def snapshots(scorer: OnnxScorer) -> list[Any]:
    """The users of two partitions as they were when a batch closed."""
    taken = []
    for part in range(2):
        users = Native(RULES)
        users.fold(visits(scorer)[part * 100 :])
        taken.append(users.users.take(1000))
    return taken


def test_the_scores_of_snapshots_are_those_of_their_sequences(scorer: OnnxScorer) -> None:
    coded = SnapshotSequences(snapshots(scorer))
    sequences = list(SnapshotSequences(coded.snapshots))
    encoder = ScoreEncoder("events", scorer.info)
    assert len(coded) == len(sequences) > 100

    answers = _predict(scorer, coded, "full")

    expected = scorer.score(sequences)
    assert encoder.predictions(answers) == encoder.predictions(expected)
    assert [answer.quality for answer in answers] == [score.quality for score in expected]  # type: ignore[union-attr]
    assert sum(isinstance(answer, EncodedScore) for answer in answers) > len(answers) / 3
    assert count_unknown_items(scorer, coded) == count_unknown_items(scorer, sequences) > 0


def test_sequences_that_are_no_snapshot_are_answered_alike(scorer: OnnxScorer) -> None:
    sequences = [*SnapshotSequences(snapshots(scorer)), Sequence((), (), (), NOW_MS)]
    encoder = ScoreEncoder("events", scorer.info)

    answers = scorer.answer(sequences)

    assert encoder.predictions(answers) == encoder.predictions(scorer.score(sequences))


def test_a_scorer_that_fails_for_one_user_says_so_of_that_user_alone(
    scorer: OnnxScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = list(SnapshotSequences(snapshots(scorer)))[:20]
    poison = sequences[7]
    score = scorer.score

    def fail(batch: Any) -> Any:
        if any(sequence == poison for sequence in batch):
            raise ValueError("poison")
        return score(batch)

    monkeypatch.setattr(scorer, "score", fail)
    monkeypatch.setattr(scorer, "answer", fail)

    answers = _predict(scorer, sequences, "full")

    failed = [isinstance(answer, Exception) for answer in answers]
    assert failed == [sequence == poison for sequence in sequences]


def test_what_is_no_probability_is_judged_by_the_reference(
    scorer: OnnxScorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = list(SnapshotSequences(snapshots(scorer)))[:20]
    monkeypatch.setattr(Calibration, "apply", lambda self, logits: 0.0 * logits + 2.0)

    answers = _predict(scorer, sequences, "full")

    warm = [
        a for a, s in zip(answers, sequences, strict=True) if s.items and isinstance(a, Exception)
    ]
    assert warm
    assert all("expected probabilities from 0 to 1" in str(answer) for answer in warm)
