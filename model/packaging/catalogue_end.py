"""The end of a score: a copy of an artifact with another one, of which nothing else differs."""

import shutil
from dataclasses import replace
from pathlib import Path

from model.artifact.artifact import GRAPH, SHRUNK, Artifact, ArtifactWriter
from model.config import BFLOAT16
from model.serving.graph_file import GraphFile
from model.serving.native import ENCODED, tables_of

NO_MULTIPLY = ("mlp", "path")  # networks that score a few candidates, or by tables


def with_end(artifact: Artifact, end: str, folder: Path, *, overwrite: bool = False) -> Artifact:
    """Write a copy with this ``catalogue_end``; nothing but the manifest differs.

    Raises ``ArtifactError`` for the native end if the graph has not what it starts from, and for
    bfloat16 if the network does not multiply item vectors. Whether this machine has the native
    core, or a GPU, does not matter.
    """
    if end == "native":
        _check(artifact)
    if end == BFLOAT16 and (
        artifact.config.network in NO_MULTIPLY or SHRUNK in artifact.manifest.made
    ):
        raise artifact.error(
            "bfloat16 has no use for it; it is for the vectors of transformer, gru, lstm and bert "
            "networks that are not shrunk"
        )
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
