"""The registry: the training of each network, behind one protocol."""

from collections.abc import Callable
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from model.networks.network import Network
    from model.training.noisy_counts import LogCounts
    from model.training.plan import Plan, Progress
    from model.training.results import Predictions
    from model.training.training_data import TrainingData

# The module of each network's training; each has a function ``fit``. Imported lazily, since some
# need libraries that others do not.
SEQUENCE_TRAINING = "model.training.sequence.fit"
PRIVATE_TRAINING = "model.training.private.fit"
TRAININGS = {
    "transformer": SEQUENCE_TRAINING,
    "gru": SEQUENCE_TRAINING,
    "lstm": SEQUENCE_TRAINING,
    "mlp": "model.training.mlp.fit",
    "bert": "model.training.text.fit",
    "path": "model.training.path.fit",
}


class Fitted(NamedTuple):
    """A trained network on the CPU, in eval mode, and its predictions for the held-out events."""

    network: "Network"
    predictions: "Predictions"
    refitted: bool = False  # whether it was trained on the held-out events in the end
    files: "Mapping[str, Mapping[str, Any]]" = MappingProxyType({})  # extra artifact files, JSON
    made: "Mapping[str, Any]" = MappingProxyType({})  # extra entries for the manifest
    counted: "LogCounts | None" = None  # the counts to publish; None: those of the log


class Fit(Protocol):
    """The training of one kind of network."""

    def __call__(
        self, data: "TrainingData", plan: "Plan", report: "Callable[[Progress], None]"
    ) -> Fitted:
        """Train on ``data.learnt``, select on the held-out events, and predict those.

        Raises ``DataError`` for a log that this kind of network cannot be trained on.
        """
        ...


def fit_of(network: str, *, private: bool = False) -> Fit:
    """The training of a network by its name, one of ``TRAININGS``.

    Only sequence networks have a private training; the command refuses it for others.
    """
    assert not private or TRAININGS[network] == SEQUENCE_TRAINING
    fit: Fit = import_module(PRIVATE_TRAINING if private else TRAININGS[network]).fit
    return fit
