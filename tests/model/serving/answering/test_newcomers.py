"""Newcomers: items that the catalogue lacks are listed from the user's own window."""

import shutil
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artifact.artifact import COPYING, Artifact, ArtifactWriter
from model.artifact.copying import CopyCurve, sizes
from model.errors import ArtifactError
from model.scorer import Score
from model.sequence import Sequence
from model.serving.onnx import OnnxScorer
from model.serving.options import ItemList, ScoringOptions
from model.serving.torch import TorchScorer
from tests.model.conftest import TINY_CONFIG
from tests.model.serving.test_parity import assert_same
from tests.model.strategies import sequences

pytestmark = pytest.mark.timeout(400)  # libraries to load and a graph to export, one core shared

# The newest item has the weight 1 if it occurs once, else 4; all others less, and a newcomer half.
CURVE = CopyCurve(
    (
        (1.0, 0.5, 0.25, *(0.1,) * 5),
        (1.0, 2.0, 4.0, 4.0),
        *((1.0,) * size for size in list(sizes(3).values())[2:]),
    ),
    new=0.5,
)


@pytest.fixture(scope="module")
def artifact(tiny_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The tiny artifact with a curve."""
    return with_curve(tiny_artifact, tmp_path_factory.mktemp("curve") / "artifact", CURVE.to_json())


@pytest.fixture(scope="module")
def scorer(artifact: Artifact) -> OnnxScorer:
    return OnnxScorer(artifact)


def with_curve(artifact: Artifact, folder: Path, curve: dict[str, object]) -> Artifact:
    with ArtifactWriter(folder) as writer:
        for name in artifact.manifest.files:
            shutil.copyfile(artifact.path(name), writer.draft / name)
        writer.write_object(COPYING, curve)
        return writer.seal(artifact.config, created_at="2026-01-02T03:04:05Z", data={}, made={})


def clicks(*items: str, categories: tuple[str | None, ...] = ()) -> Sequence:
    """A click on each item a millisecond after the other, and the category of each."""
    times_ms = tuple(range(1_000, 1_000 + len(items)))
    names = tuple(dict.fromkeys(name for name in categories if name is not None))
    indices = bytes(0 if name is None else names.index(name) + 1 for name in categories)
    return Sequence(items, ("click",) * len(items), times_ms, times_ms[-1], names, indices)


def names(score: Score) -> list[str]:
    return [name for name, _ in score.items]


def listed(*ids: str) -> ItemList:
    return ItemList("list.txt", frozenset(ids))


def published(scores: list[Score]) -> list[bytes]:
    return [orjson.dumps(tuple(score)) for score in scores]


def test_an_unknown_item_looked_at_three_times_is_listed_first(scorer: OnnxScorer) -> None:
    (score,) = scorer.score([clicks("fresh", "fresh", "fresh")])

    # Weight 4 · ½ = 2, so 2 / (1 + 2); the rest goes to the catalogue.
    assert score.items[0] == ("fresh", 0.666667)
    assert score.quality == "full"
    assert len(score.items) == TINY_CONFIG.top_items


def test_an_unknown_item_between_known_ones_has_the_share_of_its_place(scorer: OnnxScorer) -> None:
    (score,) = scorer.score([clicks("i7", "fresh", "i3")])

    # i3 weighs 1, fresh ½ · ½, i7 ¼.
    assert dict(score.items)["fresh"] == pytest.approx(0.25 / (1 + 1 + 0.25 + 0.25), rel=1e-5)


def test_two_unknown_items_are_two(scorer: OnnxScorer) -> None:
    (score,) = scorer.score([clicks("one", "two")])

    # Weights ½ and ½ · ½.
    assert dict(score.items)["two"] == pytest.approx(0.5 / 1.75, rel=1e-5)
    assert dict(score.items)["one"] == pytest.approx(0.25 / 1.75, rel=1e-5)


def test_an_empty_sequence_is_still_cold(scorer: OnnxScorer) -> None:
    (score,) = scorer.score([Sequence((), (), (), 0)])

    assert score.quality == "cold"


NEW = tuple(f"new{n}" for n in range(3 * TINY_CONFIG.max_length))


@pytest.mark.parametrize(
    ("sequence", "first"),
    [
        pytest.param(clicks(*NEW), NEW[-1], id="all of a long window"),
        pytest.param(clicks(*("i3",) * 40, "new"), "new", id="one after many known"),
        pytest.param(clicks("new", *("i3",) * 90), None, id="fallen out of the window"),
        pytest.param(clicks("x" * 256, "\U0001f600"), "\U0001f600", id="long and odd ids"),
        pytest.param(
            Sequence(("new",), ("of nobody",), (1_000,), 1_000),
            "new",
            id="an odd action",
        ),
        pytest.param(Sequence(("new",) * 3, ("click",) * 3, (7,) * 3, 7), "new", id="at once"),
        pytest.param(Sequence(("new",), ("click",), (0,), 1 << 45), "new", id="years later"),
        pytest.param(Sequence(("new",), ("click",), (1_000,), 0), "new", id="before it happened"),
    ],
)
def test_a_newcomer_is_listed_once_with_a_probability_whatever_its_window_is_like(
    scorer: OnnxScorer, sequence: Sequence, first: str | None
) -> None:
    (score,) = scorer.score([sequence])
    chances = [chance for _, chance in score.items]

    assert (first in names(score)) == (first is not None)
    assert len(set(names(score))) == len(score.items) == TINY_CONFIG.top_items
    assert chances == sorted(chances, reverse=True)
    assert chances[-1] > 0 and sum(chances) <= 1 + 1e-6


def test_an_artifact_without_a_curve_serves_as_before(tiny_artifact: Artifact) -> None:
    stranger, mixed = OnnxScorer(tiny_artifact).score([clicks("fresh"), clicks("i7", "fresh")])

    assert stranger.quality == "cold"
    assert "fresh" not in names(mixed)


@settings(max_examples=40, deadline=None)
@given(st.lists(sequences(), min_size=1, max_size=8))
def test_who_knows_only_items_of_the_catalogue_gets_the_same_bytes(
    scorer: OnnxScorer, tiny_artifact: Artifact, batch: list[Sequence]
) -> None:
    index = scorer.catalogue.index
    known = [one for one in batch if all(item in index for item in one.items[-50:])]
    before = OnnxScorer(tiny_artifact).score(known) if known else []

    after = scorer.score(batch)

    assert published([s for s, one in zip(after, batch, strict=True) if one in known]) == published(
        before
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(sequences(), min_size=1, max_size=12))
def test_a_score_does_not_depend_on_its_batch_and_adds_up_to_one_at_most(
    scorer: OnnxScorer, batch: list[Sequence]
) -> None:
    together = scorer.score(batch)

    assert published(together) == [published(scorer.score([one]))[0] for one in batch]
    for score in together:
        assert len(set(names(score))) == len(score.items)
        assert len(dict(score.categories)) == len(score.categories)
        for listed_ones in (score.items, score.categories):
            chances = [chance for _, chance in listed_ones]
            assert chances == sorted(chances, reverse=True)
            assert 0 <= min(chances) <= sum(chances) <= 1 + 1e-5  # six digits each


def test_the_probabilities_of_the_catalogue_leave_room_for_the_newcomers(
    scorer: OnnxScorer,
) -> None:
    (row,) = scorer.probabilities([clicks("i7", "fresh")])
    (score,) = scorer.score([clicks("i7", "fresh")])

    # What the network gives an item of the window that is not among its best is left out.
    assert 0.7 < row.sum() <= 1 - dict(score.items)["fresh"] + 1e-5


@settings(max_examples=20, deadline=None)
@given(st.lists(sequences(), min_size=1, max_size=12))
def test_onnx_and_torch_agree(artifact: Artifact, batch: list[Sequence]) -> None:
    ours, other = OnnxScorer(artifact), TorchScorer(artifact)
    for one, two in zip(ours.score(batch), other.score(batch), strict=True):
        assert_same(one, two)


def test_options_that_change_nothing_list_the_same(artifact: Artifact, scorer: OnnxScorer) -> None:
    log = [clicks("i7", "fresh", "i3", "fresh"), clicks("fresh"), clicks("i1", "i2")]
    nothing_blocked = ScoringOptions(blocked_items=listed("i59", "never seen"))

    served = OnnxScorer(artifact, nothing_blocked).score(log)

    for one, other in zip(served, scorer.score(log), strict=True):
        assert "i59" not in names(other)
        assert one == other


@pytest.mark.parametrize(
    "options",
    [
        ScoringOptions(exclude_seen=True),
        ScoringOptions(blocked_items=listed("fresh", "i59")),
        ScoringOptions(allowed_items=listed("i1", "i2")),
    ],
)
def test_options_leave_newcomers_out_as_they_do_others(
    artifact: Artifact, options: ScoringOptions
) -> None:
    for score in OnnxScorer(artifact, options).score([clicks("i7", "fresh"), clicks("fresh")]):
        assert "fresh" not in names(score)
        assert score.items


def test_an_allowed_newcomer_stays(artifact: Artifact) -> None:
    options = ScoringOptions(allowed_items=listed("i1", "fresh"))

    (score,) = OnnxScorer(artifact, options).score([clicks("i7", "fresh", "fresh")])

    assert names(score) == ["fresh", "i1"]


def test_newcomers_without_a_category_are_not_counted_by_a_cap(artifact: Artifact) -> None:
    options = ScoringOptions(max_per_category=1, diversity=0.5)

    (score,) = OnnxScorer(artifact, options).score([clicks("one", "two", "three")])

    assert {"one", "two", "three"} <= set(names(score))


@pytest.mark.parametrize("category", ["lamps", "c1"], ids=["unknown to the model", "known to it"])
def test_a_cap_counts_a_newcomer_in_the_category_of_its_event(
    artifact: Artifact, category: str
) -> None:
    capped = OnnxScorer(artifact, ScoringOptions(max_per_category=1))
    sequence = clicks("one", "two", "three", categories=(category, "hats", category))

    (score,) = capped.score([sequence])

    # Of one and three the newer is likelier. Of c1 the catalogue has i1, i5, …: none is listed.
    assert {"two", "three"} <= set(names(score))
    assert "one" not in names(score)
    known = capped.catalogue.categories.index("c1")
    of_c1 = {
        name
        for name, code in zip(capped.catalogue.items, capped.catalogue.item_categories, strict=True)
        if code == known
    }
    assert (category == "c1") == (not of_c1 & set(names(score)))


def test_diversity_counts_newcomers_of_one_category_as_alike(artifact: Artifact) -> None:
    diverse = OnnxScorer(artifact, ScoringOptions(diversity=0.5))
    alike = clicks("one", "two", categories=("lamps", "lamps"))
    different = clicks("one", "two", categories=("lamps", "hats"))

    both, each = diverse.score([alike, different])

    # Beside two of the lamps, one is worth ½ · p / p_max − ½: less than anything of another kind.
    assert "one" not in names(both)
    assert {"one", "two"} <= set(names(each))


# --- the score's categories -----------------------------------------------------------------------


def test_a_category_that_the_model_does_not_know_is_listed_by_its_name(scorer: OnnxScorer) -> None:
    sequence = clicks("fresh", "fresh", "fresh", categories=("lamps",) * 3)
    (before,) = scorer.score([clicks("fresh", "fresh", "fresh")])
    (score,) = scorer.score([sequence])

    # All of fresh's ⅔; what is left of the others is a third.
    assert score.categories[0] == ("lamps", 0.666667)
    assert len(score.categories) == TINY_CONFIG.top_categories
    for (name, left), (known, share) in zip(score.categories[1:], before.categories, strict=False):
        assert name == known
        assert left == pytest.approx(share / 3, rel=1e-4)
    assert score.items == before.items


def test_a_known_category_gains_the_probability_of_its_newcomers(scorer: OnnxScorer) -> None:
    (before,) = scorer.score([clicks("one", "two")])
    name, share = before.categories[-1]

    (score,) = scorer.score([clicks("one", "two", categories=(name, name))])

    # Weights ½ and ½ · ½: the newcomers have 0.75 / 1.75 of it all.
    assert score.categories[0][0] == name
    assert score.categories[0][1] == pytest.approx(0.75 / 1.75 + share / 1.75, rel=1e-5)


def test_the_newest_event_that_names_a_category_counts(scorer: OnnxScorer) -> None:
    sequence = clicks("fresh", "fresh", "fresh", categories=("lamps", "hats", None))

    (score,) = scorer.score([sequence])

    listed_ones = [name for name, _ in score.categories]
    assert listed_ones[0] == "hats"
    assert "lamps" not in listed_ones


def test_the_category_that_an_event_gives_a_known_item_is_not_used(scorer: OnnxScorer) -> None:
    with_category = clicks("i7", "fresh", categories=("lamps", None))

    assert published(scorer.score([with_category])) == published(
        scorer.score([clicks("i7", "fresh")])
    )
    assert published(scorer.score([clicks("i7", categories=("lamps",))])) == published(
        scorer.score([clicks("i7")])
    )


def test_a_category_before_the_window_that_the_network_reads_does_not_count(
    scorer: OnnxScorer,
) -> None:
    items = ("fresh", *(f"i{n}" for n in range(49)), "fresh")  # 51 actions, and 50 are read

    (score,) = scorer.score([clicks(*items, categories=("lamps", *(None,) * 50))])

    assert "lamps" not in dict(score.categories)


def test_names_in_another_order_give_the_same_score(scorer: OnnxScorer) -> None:
    sequence = clicks("one", "two", "three", categories=("lamps", "hats", "lamps"))
    swapped = sequence._replace(category_names=("hats", "lamps"), category_indices=b"\2\1\2")

    assert published(scorer.score([sequence])) == published(scorer.score([swapped]))


def test_recency_moves_probability_to_the_newest_newcomer(artifact: Artifact) -> None:
    sequence = clicks("one", "two")
    (plain,) = OnnxScorer(artifact).score([sequence])
    (newer,) = OnnxScorer(artifact, ScoringOptions(recency_temperature=0.5)).score([sequence])

    assert dict(newer.items)["two"] > dict(plain.items)["two"]
    assert dict(newer.items)["one"] < dict(plain.items)["one"]


def test_a_curve_that_is_damaged_stops_the_start(tiny_artifact: Artifact, tmp_path: Path) -> None:
    broken = with_curve(tiny_artifact, tmp_path / "broken", CURVE.to_json() | {"new": -1})

    with pytest.raises(ArtifactError, match=r"copying\.json new is -1, expected a positive number"):
        OnnxScorer(broken)
