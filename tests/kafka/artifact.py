"""The artifact: the small model that the workers under test run with."""

import json
import os
from pathlib import Path

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
