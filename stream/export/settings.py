"""The settings of `lately export`: where the events are, and by what a worker judges them."""

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

from pydantic import Field

from stream.settings import DEFAULT_ACTIONS, Actions, KafkaSettings, WorkerSettings
from stream.user_state import Rules


def _as_of_a_worker(name: str) -> Any:
    return copy(WorkerSettings.model_fields[name])


class ExportSettings(KafkaSettings):
    """The brokers, and the worker's settings that say which event counts, with its defaults."""

    artifact: Path | None = Field(None, description="folder of the model that the worker serves")
    actions: Actions = _as_of_a_worker("actions")
    dedupe_window: int = _as_of_a_worker("dedupe_window")
    allowed_lateness_ms: int = _as_of_a_worker("allowed_lateness_ms")
    max_future_ms: int = _as_of_a_worker("max_future_ms")
    ttl_s: int = _as_of_a_worker("ttl_s")
    max_message_bytes: int = _as_of_a_worker("max_message_bytes")

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
        return Rules(
            sequence_length=1,
            dedupe_window=self.dedupe_window,
            allowed_lateness_ms=self.allowed_lateness_ms,
            max_future_ms=self.max_future_ms,
            ttl_ms=self.ttl_s * 1000,
        )
