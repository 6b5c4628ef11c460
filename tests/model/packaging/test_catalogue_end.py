"""A copy for the native core: another version, the same files, and only where it can be served."""

from pathlib import Path

import pytest

from model.artifact.artifact import GRAPH, Artifact
from model.errors import ArtifactError
from model.packaging import shrink as shrinking
from model.packaging.catalogue_end import with_end
from model.serving import load_scorer
from model.serving.verify import verify
from tests.model.copied_graph import copy_instead_of_export

pytestmark = pytest.mark.timeout(400)  # may have to export a graph first


def test_a_copy_for_the_core_differs_in_its_manifest_alone(
    tiny_artifact: Artifact, tmp_path: Path
) -> None:
    copy = with_end(tiny_artifact, "native", tmp_path / "native")

    assert copy.config.catalogue_end == "native"
    assert copy.version != tiny_artifact.version
    assert copy.manifest.files == tiny_artifact.manifest.files


def test_the_copy_back_is_the_artifact_as_it_was(tiny_artifact: Artifact, tmp_path: Path) -> None:
    there = with_end(tiny_artifact, "native", tmp_path / "native")
    back = with_end(there, "graph", tmp_path / "graph")

    assert back.manifest.to_bytes() == tiny_artifact.manifest.to_bytes()


def test_a_shrunken_artifact_has_no_tables_for_the_core(
    small_artifact: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="cannot serve its graph"):
        with_end(small_artifact, "native", tmp_path / "native")
    assert list(tmp_path.iterdir()) == []


def test_a_native_artifact_that_is_shrunk_is_served_by_the_graph(
    tiny_artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_instead_of_export(monkeypatch, shrinking, tiny_artifact.path(GRAPH))
    whole = with_end(tiny_artifact, "native", tmp_path / "native")

    assert shrinking.shrink(whole, tmp_path / "small").config.catalogue_end == "graph"


def test_a_copy_in_bfloat16_has_another_version_and_the_same_items(
    tiny_artifact: Artifact, tmp_path: Path
) -> None:
    copy = with_end(tiny_artifact, "bfloat16", tmp_path / "bf16")

    whole, rough = (
        load_scorer(tiny_artifact.folder, "torch", "cpu"),
        load_scorer(copy.folder, "torch", "cpu"),
    )
    assert rough.info.version == copy.version != whole.info.version
    users = whole.sample(40)
    for ours, theirs in zip(whole.score(users), rough.score(users), strict=True):
        assert ours.intent == theirs.intent
        assert [name for name, _ in ours.items] == [name for name, _ in theirs.items]
        assert [p for _, p in theirs.items] == pytest.approx([p for _, p in ours.items], rel=2e-2)
    assert verify(copy.folder).manifest["catalogue_end"] == "bfloat16"
    back = with_end(copy, "graph", tmp_path / "graph")
    assert back.version == tiny_artifact.version


def test_bfloat16_is_served_by_torch_alone(tiny_artifact: Artifact, tmp_path: Path) -> None:
    copy = with_end(tiny_artifact, "bfloat16", tmp_path / "bf16")

    with pytest.raises(ArtifactError, match="its scores are the torch engine's, in bfloat16; use"):
        load_scorer(copy.folder, "onnx")


def test_a_shrunken_artifact_has_no_vectors_for_bfloat16(
    small_artifact: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="bfloat16 has no use for it"):
        with_end(small_artifact, "bfloat16", tmp_path / "bf16")
