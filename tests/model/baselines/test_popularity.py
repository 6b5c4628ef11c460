import pytest

from model.artifact.artifact import CALIBRATION, Artifact
from model.artifact.calibration import Calibration
from model.baselines.popularity import PopularityScorer
from model.sequence import Sequence

NOBODY = Sequence((), (), (), 0)
SOMEBODY = Sequence(("i7", "i8"), ("click", "buy"), (1_000, 2_000), 2_000)


def test_everybody_gets_the_most_popular_items_best_first(tiny_artifact: Artifact) -> None:
    first, second = PopularityScorer(tiny_artifact).score([NOBODY, SOMEBODY])

    assert first == second
    counts = range(60, 0, -1)  # of i0, i1, …
    assert [item for item, _ in first.items] == ["i0", "i1", "i2", "i3", "i4"]
    assert first.items[0][1] == pytest.approx(60 / sum(counts), rel=1e-5)


def test_intents_are_the_base_rates(tiny_artifact: Artifact) -> None:
    (score,) = PopularityScorer(tiny_artifact).score([SOMEBODY])

    calibration = Calibration.from_json(tiny_artifact.read_object(CALIBRATION))
    assert list(score.intent.values()) == calibration.base_rates.tolist()


def test_it_says_who_it_is(tiny_artifact: Artifact) -> None:
    assert PopularityScorer(tiny_artifact).info.name == "popularity"
