"""The artifact of the model's tests, for the core's."""

from tests.model.conftest import tiny_artifact

__all__ = ["tiny_artifact"]
