"""The native end of a score beside the graph's: the same items, and the same probabilities."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import native
from model.artifact.artifact import GRAPH, Artifact
from model.errors import ArtifactError, ScorerError
from model.features import encode
from model.outputs import Outputs
from model.packaging.catalogue_end import with_end
from model.sequence import Sequence
from model.serving import cpu_scorer
from model.serving.graph_file import GraphFile
from model.serving.native import NativeScorer, Neighbours
from model.serving.onnx import OnnxScorer
from model.serving.options import ScoringOptions
from model.serving.verify import verify

pytestmark = pytest.mark.timeout(400)  # may have to export a graph first
needs_core = pytest.mark.skipif(not native.AVAILABLE, reason=f"no native core: {native.REASON}")


@pytest.fixture(scope="module")
def native_artifact(tiny_artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return with_end(tiny_artifact, "native", tmp_path_factory.mktemp("native") / "artifact")


def outputs(scorer: OnnxScorer, sequences: list[Sequence]) -> Outputs:
    return scorer._run(encode(sequences, scorer.catalogue, scorer._config))


@needs_core
def test_an_artifact_says_who_ends_its_scores(
    tiny_artifact: Artifact, native_artifact: Artifact
) -> None:
    assert type(cpu_scorer(tiny_artifact)) is OnnxScorer
    assert type(cpu_scorer(native_artifact)) is NativeScorer


@needs_core
def test_items_are_those_of_the_graph_and_probabilities_within_a_millionth(
    native_artifact: Artifact,
) -> None:
    graph, core = OnnxScorer(native_artifact), NativeScorer(native_artifact)
    sequences = graph.sample(2000)
    expected, found = outputs(graph, sequences), outputs(core, sequences)

    assert np.abs(found.top_probs - expected.top_probs).max() <= 1e-6
    # Where an item stands at another place, its neighbour there is as likely.
    swapped = found.top_items != expected.top_items
    assert swapped.mean() < 1e-3
    assert (found.category_probs == expected.category_probs).all()
    assert (found.intent_logits == expected.intent_logits).all()


@needs_core
def test_a_score_has_the_same_bits_in_every_batch(native_artifact: Artifact) -> None:
    scorer = NativeScorer(native_artifact)
    sequences = scorer.sample(150)
    whole = scorer.score(sequences)

    for size in (1, 7, 64):
        starts = range(0, 150, size)
        assert [s for at in starts for s in scorer.score(sequences[at : at + size])] == whole


@needs_core
def test_an_unknown_item_and_an_empty_sequence_are_answered(native_artifact: Artifact) -> None:
    graph, core = OnnxScorer(native_artifact), NativeScorer(native_artifact)
    known = graph.sample(1)[0]
    strange = known._replace(items=(*known.items[:-1], "an item of no catalogue"))
    nobody = Sequence((), (), (), 0)

    for expected, found in zip(
        graph.score([strange, nobody]), core.score([strange, nobody]), strict=True
    ):
        assert found.quality == expected.quality
        assert [item for item, _ in found.items] == [item for item, _ in expected.items]


@needs_core
def test_the_whole_distribution_is_the_graph_s(native_artifact: Artifact) -> None:
    graph, core = OnnxScorer(native_artifact), NativeScorer(native_artifact)
    sequences = graph.sample(20)

    assert core.probabilities(sequences).tobytes() == graph.probabilities(sequences).tobytes()


@needs_core
def test_a_vector_is_the_query_and_changes_nothing_else(native_artifact: Artifact) -> None:
    plain = NativeScorer(native_artifact)
    options = ScoringOptions(user_vector=True)
    with_vector = NativeScorer(native_artifact, options)
    sequences = plain.sample(20)

    scores = with_vector.score(sequences)
    assert [score._replace(vector=None) for score in scores] == plain.score(sequences)
    expected = OnnxScorer(native_artifact, options).score(sequences)
    assert [score.vector for score in scores] == [score.vector for score in expected]


def test_options_that_choose_items_need_no_core(
    native_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "AVAILABLE", False)
    options = ScoringOptions(exclude_seen=True)
    graph = OnnxScorer(native_artifact, options)
    scorer = NativeScorer(native_artifact, options)

    assert scorer.score(graph.sample(20)) == graph.score(graph.sample(20))


def test_a_machine_without_the_core_refuses_and_says_what_to_do(
    native_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "AVAILABLE", False)
    monkeypatch.setattr(native, "REASON", "not there; `make native` builds it")

    with pytest.raises(ArtifactError, match=r"which is missing \(not there; `make native`.*--undo"):
        cpu_scorer(native_artifact)
    with pytest.raises(ArtifactError, match="which is missing"):
        verify(native_artifact.folder)


@needs_core
def test_verify_loads_the_core_s_tables(native_artifact: Artifact) -> None:
    assert verify(native_artifact.folder).manifest["catalogue_end"] == "native"


@needs_core
def test_a_graph_without_what_the_core_starts_from_is_refused(
    small_artifact: Artifact, tmp_path: Path
) -> None:
    # Only a hand-made manifest can say so; the shrunken graph has the logits, but no table.
    folder = shutil.copytree(small_artifact.folder, tmp_path / "small")
    manifest = dataclasses.replace(
        small_artifact.manifest,
        config=dataclasses.replace(small_artifact.config, catalogue_end="native"),
    )
    (folder / "manifest.json").write_bytes(manifest.to_bytes())

    with pytest.raises(ArtifactError, match=r"no tables for the native core \(it has no array"):
        NativeScorer(Artifact.open(folder))


@needs_core
def test_broken_weights_are_an_error_of_the_scorer(
    native_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = NativeScorer(native_artifact)
    compute = scorer._compute

    def broken(names: tuple[str, ...], padded: Any) -> list[Any]:
        found = compute(names, padded)
        found[0] = np.full_like(found[0], np.nan)
        return found

    monkeypatch.setattr(scorer, "_compute", broken)
    with pytest.raises(ScorerError, match=r"cannot score 3 sequences \(the query of row 0 is not"):
        scorer.score(scorer.sample(3))


def test_neighbours_without_a_share_are_left_out() -> None:
    items = np.array([[0, 0], [0, 0], [5, 7], [6, 0]], dtype=np.int32)
    shares = np.zeros((4, 2, 2), dtype=np.float16)
    shares[2] = [[0.5, 0], [0.25, 0.125]]  # both ways of counting know item 5, one item 7
    shares[3, 0, 0] = 1

    found = Neighbours.of(items, shares)

    assert found.ends.tolist() == [0, 0, 2, 3]
    assert found.items.tolist() == [5, 7, 6]
    assert found.shares.tolist() == [[0.5, 0, 1], [0.25, 0.125, 0]]


def test_the_tables_of_a_graph_are_read_without_a_copy(tiny_artifact: Artifact) -> None:
    graph = GraphFile.read(tiny_artifact.path(GRAPH))

    assert graph.array("table").shape == (17, 60)
    assert graph.array("neighbours").shape == (62, 3)
    assert graph.array("neighbour_shares").dtype == np.float16
    assert graph.array("table").base is not None
    with pytest.raises(ValueError, match="it has no array tables"):
        graph.array("tables")
