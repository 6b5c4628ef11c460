import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from model.artifact.artifact import CONTEXTS, Artifact, ArtifactWriter
from model.artifact.day_parts import PART_MS, DayPartCounts, count, part_of_day
from model.catalogue import HALF_LIFE_S
from model.errors import ArtifactError
from model.sequence import Sequence
from model.serving.onnx import OnnxScorer
from tests.model.conftest import TINY_ITEMS

DAY_MS = 4 * PART_MS
NIGHT, MORNING, AFTERNOON, EVENING = range(4)


def events(*pairs: tuple[int, int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Events as items and times."""
    items, times_ms = zip(*pairs, strict=True)
    return np.array(items, np.int32), np.array(times_ms, np.int64)


@pytest.mark.parametrize(
    ("now_ms", "part"),
    [(0, NIGHT), (PART_MS - 1, NIGHT), (PART_MS, MORNING), (DAY_MS + 3 * PART_MS, EVENING)],
)
def test_a_day_has_four_parts(now_ms: int, part: int) -> None:
    assert part_of_day(now_ms) == part


def test_events_count_in_their_part_of_the_day_and_half_after_a_week() -> None:
    week_ms = int(HALF_LIFE_S * 1000)
    found = count(*events((0, PART_MS), (1, 2 * PART_MS)), 3, PART_MS + week_ms).counts

    first, second = 500, 1000 * 2 ** (-(week_ms - PART_MS) / week_ms)
    whole = first + second
    prior = np.array([100_000 * first / whole, 100_000 * second / whole, 0])  # 100 events
    assert found[NIGHT].tolist() == np.rint(prior).tolist()
    assert found[MORNING].tolist() == np.rint(prior + np.array([first, 0, 0])).tolist()
    assert found[AFTERNOON].tolist() == np.rint(prior + np.array([0, second, 0])).tolist()


def test_an_unknown_item_is_not_counted() -> None:
    assert count(*events((-1, 0), (1, 1)), 2, 2).counts[:, 0].tolist() == [0, 0, 0, 0]


def test_stored_counts_are_padded_for_newer_items() -> None:
    contexts = count(*events((0, 0), (1, PART_MS)), 2, DAY_MS)

    again = DayPartCounts.from_json(contexts.to_json(), 3)

    assert again.counts[:, :2].tolist() == contexts.counts.tolist()
    assert not again.counts[:, 2].any()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"part_ms": PART_MS, "counts": "many"},
        {"part_ms": PART_MS, "counts": [[1], [1, 2], [1], [1]]},
        {"part_ms": PART_MS, "counts": [[1, 2, 3]] * 4},
        {"part_ms": PART_MS, "counts": [[1]] * 3},
        {"part_ms": PART_MS, "counts": [[-1]] * 4},
        {"part_ms": 1, "counts": [[1]] * 4},
    ],
)
def test_counts_that_do_not_fit_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="expected 4 parts of 21600000 ms with up to 2 counts"):
        DayPartCounts.from_json(fields, 2)


def with_contexts(artifact: Artifact, folder: Path, counts: object) -> Artifact:
    with ArtifactWriter(folder) as writer:
        for name in artifact.manifest.files:
            shutil.copyfile(artifact.path(name), writer.draft / name)
        writer.write_object(CONTEXTS, {"part_ms": PART_MS, "counts": counts})
        return writer.seal(artifact.config, created_at="2026-01-02T03:04:05Z", data={}, made={})


def test_an_unknown_user_gets_the_popular_items_of_the_part_of_the_day(
    tiny_artifact: Artifact, tmp_path: Path
) -> None:
    counts = np.ones((4, TINY_ITEMS), dtype=int)
    counts[MORNING, 7], counts[EVENING, 9] = 41, 941  # of 100 and of 1000
    scorer = OnnxScorer(with_contexts(tiny_artifact, tmp_path / "shop", counts.tolist()))

    asked = [Sequence((), (), (), ms) for ms in (PART_MS, DAY_MS + 3 * PART_MS + 5, PART_MS)]
    morning, evening, again = scorer.score(asked)

    assert morning.items[0] == ("i7", 41 / 100)
    assert morning.categories[0][0] == "c3"  # that of i7
    assert evening.items[0] == ("i9", 941 / 1000)
    assert again == morning
    assert scorer.probabilities(asked)[0, 7] == pytest.approx(0.41)


def test_an_artifact_without_contexts_gives_the_same_all_day(tiny_artifact: Artifact) -> None:
    scorer = OnnxScorer(tiny_artifact)
    day = [Sequence((), (), (), part * PART_MS) for part in range(4)]

    assert scorer.score(day) == [scorer.score(day)[0]] * 4
    assert scorer.score(day)[0].items[0][0] == "i0"  # the most popular one


def test_an_artifact_whose_contexts_do_not_fit_is_refused(
    tiny_artifact: Artifact, tmp_path: Path
) -> None:
    artifact = with_contexts(tiny_artifact, tmp_path / "shop", [[1]] * 3)

    with pytest.raises(ArtifactError, match=r"contexts.json has counts of the shape \[3, 1\]"):
        OnnxScorer(artifact)
