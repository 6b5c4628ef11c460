"""Both cores of the pipeline: a test that uses the fixture ``core`` runs on each."""

import pytest

from model import native
from tests.stream import world

CORES = [
    "python",
    pytest.param(
        "native",
        marks=pytest.mark.skipif(not native.AVAILABLE, reason="needs the core: make native"),
    ),
]


@pytest.fixture(params=CORES)
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The core that `tests.stream.world` makes users with."""
    name = str(request.param)
    monkeypatch.setattr(world, "core", name)
    return name
