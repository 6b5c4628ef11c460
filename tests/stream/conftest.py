"""Both cores of the pipeline: a test that uses the fixture ``core`` runs on each."""

import pytest


@pytest.fixture(params=["python"])
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The core that `tests.stream.world` makes users with."""
    return str(request.param)
