"""The checkpoint: one file with all that a training run needs to resume."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from model.errors import DataError
from model.scratch import whole_file
from model.training.fingerprint import Fingerprint, difference, fingerprint

if TYPE_CHECKING:
    from model.networks.network import Network
    from model.training.plan import Plan
    from model.training.training_data import TrainingData


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file that training writes after every round, with the fingerprint of the run."""

    path: Path
    fingerprint: Fingerprint

    @classmethod
    def of(
        cls, name: str, data: "TrainingData", plan: "Plan", network: "Network", processes: int = 1
    ) -> "Checkpoint | None":
        """The checkpoint of this name in the plan's folder; None without a folder."""
        if plan.checkpoints is None:
            return None
        return cls(plan.checkpoints / f"{name}.pt", fingerprint(data, plan, network, processes))

    def load(self) -> dict[str, Any] | None:
        """The saved state, or None; raises ``DataError`` if it belongs to another run.

        Starting over instead would replace hours of work because of a mistyped option.
        """
        if not self.path.exists():
            return None
        try:
            found: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # noqa: BLE001 - torch's exceptions have no common base
            why = str(error).partition("\n")[0]
            raise DataError(
                f"{self.path}: cannot be read ({why}); remove it to start over"
            ) from None
        theirs = found.get("fingerprint") if isinstance(found, dict) else None
        # Older versions wrote a text here.
        if other := difference(theirs if isinstance(theirs, dict) else {}, self.fingerprint):
            raise DataError(
                f"{self.path}: belongs to a training with {other}; train as then to resume it, or "
                "remove it to start over"
            )
        return found

    def save(self, state: dict[str, Any]) -> None:
        """Replace the file atomically: a crash while writing leaves the previous one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(self.path) as draft:
            torch.save(state | {"fingerprint": dict(self.fingerprint)}, draft)
