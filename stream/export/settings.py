"""The settings of `lately export`: where the events are, and by what a worker judges them."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from stream.settings import DEFAULT_ACTIONS, ActionSettings, JudgementSettings, KafkaSettings
from stream.user_state import Rules


class ExportSettings(KafkaSettings, JudgementSettings, ActionSettings):
    """The brokers, and the worker's settings that say which event counts, with its defaults."""

    artifact: Path | None = Field(None, description="folder of the model that the worker serves")

    def accepted_actions(self) -> Sequence[str]:
        """The actions that a worker with these settings accepts.

        Without any, and without an artifact, those of the default. Raises ArtifactError.
        """
        if self.actions is not None:
            return self.actions
        if self.artifact is None:
            return DEFAULT_ACTIONS
        from model.artifact.artifact import read_manifest  # late: `lately --help` needs none of it

        return read_manifest(self.artifact).config.actions

    @property
    def rules(self) -> Rules:
        """The rules of a worker; one action is kept, for whether an event counts is all we ask."""
        return self.rules_of(1)
