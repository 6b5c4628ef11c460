"""The end of a score: a copy of an artifact that the native core serves, or the graph again."""

import shutil
from dataclasses import replace
from pathlib import Path

from model.artifact.artifact import GRAPH, Artifact, ArtifactWriter
from model.serving.graph_file import GraphFile
from model.serving.native import ENCODED, tables_of


def with_end(artifact: Artifact, end: str, folder: Path, *, overwrite: bool = False) -> Artifact:
    """Write a copy with this ``catalogue_end``; nothing but the manifest differs.

    Raises ``ArtifactError`` for the native end if the graph has not what it starts from. Whether
    this machine has the native core does not matter.
    """
    if end == "native":
        _check(artifact)
    with ArtifactWriter(folder, overwrite=overwrite) as writer:
        for name in artifact.manifest.files:
            shutil.copyfile(artifact.path(name), writer.draft / name)
        manifest = artifact.manifest
        return writer.seal(
            replace(artifact.config, catalogue_end=end),
            created_at=manifest.created_at,
            data=manifest.data,
            made=manifest.made,
        )


def _check(artifact: Artifact) -> None:
    try:
        graph = GraphFile.read(artifact.path(GRAPH))
        if missing := [name for name in ENCODED if name not in graph.outputs]:
            raise ValueError(f"no output {missing[0]}")
        tables_of(graph, artifact.manifest.items)
    except (OSError, ValueError) as error:
        raise artifact.error(
            f"the native core cannot serve its graph ({error}); it serves transformer, gru and "
            "lstm networks that this version exported and that are not shrunk: train it again"
        ) from None
