"""The artifact: the small model that the workers under test run with."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.artifact.artifact import CALIBRATION, Artifact, ArtifactWriter
from tests.kafka.broker import ROOT

DEMO = ROOT / "model" / "demo_artifact"


def find_artifact() -> Path:
    """The model that comes with Lately, or the one that LATELY_TEST_ARTIFACT names."""
    return Path(os.environ.get("LATELY_TEST_ARTIFACT", DEMO))


def items_of(artifact: Path) -> list[str]:
    """The item ids of its catalogue."""
    catalogue = json.loads((artifact / "catalogue.json").read_text(encoding="utf-8"))
    items: list[str] = catalogue["items"]
    return items


def write_older(source: Path, folder: Path) -> Path:
    """The same model, as if it had been trained in 2020."""
    until_ms = 1_600_000_000_000
    data = {"from_ms": 1, "trained_until_ms": until_ms, "selected_until_ms": until_ms}
    return rewrite(source, folder, lambda _draft: None, data)


def rewrite(
    source: Path,
    folder: Path,
    change: Callable[[Path], None],
    data: dict[str, Any] | None = None,
    **config: Any,
) -> Path:
    """A copy with other files and another configuration, and a manifest that fits them.

    ``data`` replaces what the manifest says of the log.
    """
    old = Artifact.open(source)
    with ArtifactWriter(folder) as writer:
        for name in old.manifest.files:
            shutil.copy(old.path(name), writer.draft)
        change(writer.draft)
        writer.seal(
            replace(old.config, **config),
            created_at=old.manifest.created_at,
            data={**old.manifest.data, **(data or {})},
            made=old.manifest.made,
        )
    return folder


def write_sibling(source: Path, folder: Path) -> Path:
    """A model that holds other chances for every intent, for a shorter horizon."""

    def raise_chances(calibration: Any) -> None:
        for line in calibration["lines"]:
            line["offset"] += 1.0

    def change(draft: Path) -> None:
        edit_json(draft / CALIBRATION, raise_chances)

    return rewrite(source, folder, change, name="sibling", horizon_s=900)


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Change what a JSON file holds, in place."""
    found = json.loads(path.read_text(encoding="utf-8"))
    change(found)
    path.write_text(json.dumps(found), encoding="utf-8")
