"""A copy for the native core: another version, the same files, and only where it can be served."""

from pathlib import Path

import pytest

from model.artifact.artifact import Artifact
from model.errors import ArtifactError
from model.packaging.catalogue_end import with_end
from model.packaging.shrink import shrink

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
    tiny_artifact: Artifact, tmp_path: Path
) -> None:
    whole = with_end(tiny_artifact, "native", tmp_path / "native")

    assert shrink(whole, tmp_path / "small").config.catalogue_end == "graph"
