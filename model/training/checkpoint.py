"""The checkpoint: all that a training needs to go on after a break, in one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.errors import DataError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file that a training writes after every round, and what it must have been written for."""

    path: Path
    fingerprint: str  # of the data and of how it is learnt from

    @classmethod
    def of(cls, folder: Path | None, name: str, fingerprint: str) -> "Checkpoint | None":
        """The one of this name in the folder; None without a folder."""
        return None if folder is None else cls(folder / f"{name}.pt", fingerprint)

    def load(self) -> dict[str, Any] | None:
        """What was saved, None if nothing was; raises ``DataError`` if it is of another run."""
        if not self.path.exists():
            return None
        try:
            found: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 - torch's own have no common name
            why = str(error).partition("\n")[0]
            raise DataError(
                f"{self.path}: cannot be read ({why}); remove it to begin anew"
            ) from None
        if found["fingerprint"] != self.fingerprint:
            raise DataError(
                f"{self.path}: is of another log or other settings; remove it to begin anew"
            )
        return found

    def save(self, state: dict[str, Any]) -> None:
        """Write all of it in one step: a break while writing leaves what was there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".draft")
        torch.save(state | {"fingerprint": self.fingerprint}, draft)
        draft.replace(self.path)
