"""Refined scores: an engine requests extra graph outputs only where an option needs them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from model.artifact.artifact import CALIBRATION, CATALOGUE, Artifact, ArtifactWriter
from model.artifact.calibration import Calibration
from model.errors import OptionsError, ScorerError
from model.features import FIRST_ITEM, Padded
from model.outputs import Outputs, Reals
from model.scorer import Score
from model.sequence import Sequence
from model.serving.engine import ArtifactScorer
from model.serving.options import ItemList, ScoringOptions
from model.serving.refining import PROBABILITIES, USER_VECTORS, rounded_vectors
from tests.model.conftest import TINY_CONFIG, TINY_ITEMS, tiny_catalogue

STRANGER = Sequence((), (), (), 0)


class Fake(ArtifactScorer):
    """Puts half the probability on the newest item; the rest decreases by item index."""

    def __init__(self, artifact: Artifact, broken: bool = False, **options: Any) -> None:
        super().__init__(artifact, "fake", 2, ScoringOptions(**options))
        self.asked: list[tuple[str, ...]] = []
        self._broken = broken

    def _run(self, padded: Padded) -> Outputs:
        return self._run_further(padded, ())[0]

    def _run_further(
        self, padded: Padded, names: tuple[str, ...]
    ) -> tuple[Outputs, Mapping[str, Reals]]:
        self.asked.append(names)
        rows = np.arange(len(padded.lengths))
        newest = padded.items[rows, padded.lengths - 1] - FIRST_ITEM
        falling = np.arange(TINY_ITEMS, 0, -1, dtype=np.float32)
        chances = np.tile(falling / falling.sum() / 2, (len(rows), 1))
        chances[rows, newest] += 0.5
        top = np.argsort(-chances, axis=1, kind="stable")[:, : TINY_CONFIG.top_items]
        outputs = Outputs(
            top,
            np.take_along_axis(chances, top, 1),
            np.full((len(rows), 4), 0.25, dtype=np.float32),
            np.zeros((len(rows), 2), dtype=np.float32),
        )
        if self._broken:
            chances[0, 3] = np.nan
        vectors = np.stack([newest, -newest / 3], axis=1).astype(np.float32)
        return outputs, {PROBABILITIES: chances, USER_VECTORS: vectors}


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """An artifact with a catalogue and a calibration, but no network."""
    with ArtifactWriter(tmp_path_factory.mktemp("artifact") / "bare") as writer:
        calibration = Calibration(("cart", "buy"), (1.0, 1.0), (0.0, 0.0), (0.12, 0.03))
        writer.write_object(CATALOGUE, tiny_catalogue().to_json())
        writer.write_object(CALIBRATION, calibration.to_json())
        return writer.seal(TINY_CONFIG, created_at="2026-01-02T03:04:05Z", data={}, made={})


def clicks(*items: str) -> Sequence:
    times_ms = tuple(range(1_000, 1_000 + len(items)))
    return Sequence(items, ("click",) * len(items), times_ms, times_ms[-1])


def listed(*ids: str) -> ItemList:
    return ItemList("list.txt", frozenset(ids))


def items(score: Score) -> list[str]:
    return [name for name, _ in score.items]


def test_without_options_no_extra_output_is_requested(artifact: Artifact) -> None:
    scorer = Fake(artifact)

    (score,) = scorer.score([clicks("i7")])

    assert scorer.asked == [()]
    assert items(score) == ["i7", "i0", "i1", "i2", "i3"]
    assert score.vector is None
    assert scorer.info.version == artifact.version


def test_options_that_change_nothing_give_the_same_score(artifact: Artifact) -> None:
    everything = Fake(artifact, allowed_items=listed(*tiny_catalogue().items))

    assert everything.score([clicks("i7", "i3"), STRANGER]) == Fake(artifact).score(
        [clicks("i7", "i3"), STRANGER]
    )
    assert everything.asked == [(PROBABILITIES,)]
    assert everything.info.version.startswith(f"{artifact.version}+")


def test_each_sequence_excludes_its_own_items(artifact: Artifact) -> None:
    log = [clicks("i7", "i1"), STRANGER, clicks("i0"), clicks("i2", "i0", "i4")]
    scorer = Fake(artifact, exclude_seen=True)

    together = scorer.score(log)

    assert together == [scorer.score([sequence])[0] for sequence in log]
    assert [items(score)[:3] for score in together] == [
        ["i0", "i2", "i3"],
        ["i0", "i1", "i2"],
        ["i1", "i2", "i3"],
        ["i1", "i3", "i5"],
    ]


def test_items_older_than_the_window_are_excluded_too(artifact: Artifact) -> None:
    long = clicks("i0", *["i7"] * TINY_CONFIG.max_length)

    (score,) = Fake(artifact, exclude_seen=True).score([long])

    assert items(score)[0] == "i1"


def test_options_change_the_items_only(artifact: Artifact) -> None:
    (plain,) = Fake(artifact).score([clicks("i7")])
    (refined,) = Fake(artifact, blocked_items=listed("i7")).score([clicks("i7")])

    assert refined == plain._replace(items=refined.items)


def test_blocked_items_are_dropped_from_cold_answers_too(artifact: Artifact) -> None:
    scorer = Fake(artifact, blocked_items=listed("i0", "i1", "i7"), max_per_category=1)
    popularity = tiny_catalogue().shares(tiny_catalogue().counts)

    known, cold = scorer.score([clicks("i7"), STRANGER])

    # Categories alternate, so i2, i3, i4, i5 have one each; i9 has none.
    assert items(known) == items(cold) == ["i2", "i3", "i4", "i5", "i9"]
    assert cold.quality == "cold"
    assert cold.items[0][1] == pytest.approx(popularity[2], rel=1e-5)


def test_a_score_has_fewer_items_where_fewer_are_left(artifact: Artifact) -> None:
    (score,) = Fake(artifact, allowed_items=listed("i8", "i9")).score([clicks("i1")])

    assert items(score) == ["i8", "i9"]


def test_a_score_has_a_vector_on_request(artifact: Artifact) -> None:
    scorer = Fake(artifact, user_vector=True)

    known, cold = scorer.score([clicks("i2"), STRANGER])

    assert scorer.asked == [(USER_VECTORS,)]
    assert known.vector == [2.0, -0.666667]  # −2/3 in six digits
    assert known._replace(vector=None) == Fake(artifact).score([clicks("i2")])[0]
    assert cold.vector is None


def test_a_vector_has_six_digits_and_no_negative_zero() -> None:
    vectors = np.array([[-1 / 3, 12.3456789, -0.0, 1e-20]], dtype=np.float32)

    assert str(rounded_vectors(vectors)) == "[[-0.333333, 12.3457, 0.0, 0.0]]"


def test_probabilities_cover_the_catalogue_and_ignore_options(artifact: Artifact) -> None:
    scorer = Fake(artifact, exclude_seen=True)

    said = scorer.probabilities([clicks("i7"), STRANGER])

    assert said.shape == (2, TINY_ITEMS)
    assert said[0, 7] == pytest.approx(0.5 + 53 / (60 * 61))  # (60 − 7) / (Σ 1…60) / 2
    assert said[1] == pytest.approx(tiny_catalogue().shares(tiny_catalogue().counts), rel=1e-6)


def test_a_non_finite_output_raises(artifact: Artifact) -> None:
    with pytest.raises(ScorerError, match="probabilities is not a number for 1 of 1"):
        Fake(artifact, broken=True, exclude_seen=True).score([clicks("i7")])


def test_a_list_without_a_known_item_stops_the_start(artifact: Artifact) -> None:
    with pytest.raises(OptionsError, match=r"list\.txt: names no item"):
        Fake(artifact, blocked_items=listed("gone"))
