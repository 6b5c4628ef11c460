"""The checkpoint: one file with all that a training run needs to resume."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.errors import DataError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file that training writes after every round, with the fingerprint of the run."""

    path: Path
    fingerprint: str  # of the data and the settings

    @classmethod
    def of(cls, folder: Path | None, name: str, fingerprint: str) -> "Checkpoint | None":
        """The checkpoint of this name in the folder; None without a folder."""
        return None if folder is None else cls(folder / f"{name}.pt", fingerprint)

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None; raises ``DataError`` if it belongs to another run."""
        if not self.path.exists():
            return None
        try:
            found: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 - torch's exceptions have no common base
            why = str(error).partition("\n")[0]
            raise DataError(
                f"{self.path}: cannot be read ({why}); remove it to start over"
            ) from None
        if found["fingerprint"] != self.fingerprint:
            raise DataError(
                f"{self.path}: belongs to another log or other settings; remove it to start over"
            )
        return found

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file atomically: a crash while writing leaves the previous one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        torch.save(state | {"fingerprint": self.fingerprint}, draft)
        draft.replace(self.path)
