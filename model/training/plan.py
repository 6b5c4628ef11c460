"""The plan of a training run, its recipe, and its progress."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from model.config import ArtifactConfig
from model.training.results import Validation


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of the losses, and the shares of inputs that are masked."""

    draws: int = 2_048  # negatives, where the catalogue is too large for all
    category: float = 0.1
    intent: float = 1.0
    unknown_share: float = 0.01  # of items masked, to train the vector of the unknown item
    new_share: float = 0.1  # of ids masked, to train items on attributes and text alone


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; the defaults were found on public session data (docs/adr/0010-training.md)."""

    epochs: int = 100  # at most
    minutes: float | None = None  # for all of it; with a time limit no two runs are alike
    seed: int = 0
    padded_tokens: int = 1_024  # per batch
    learning_rate: float = 2e-3
    embedding_rate: float = 4.0  # times the learning rate; unit vectors turn slowly
    warm_up_steps: int = 100
    weight_decay: float = 0.01
    average_decay: float = 0.999
    clip_norm: float = 5.0
    patience: int = 2  # rounds without improvement before training stops
    least_gain: float = 1e-3  # relative to the best: a smaller gain is no improvement
    round_steps: tuple[int, int] = (150, 2_000)  # least and most; an epoch if in between
    weights: Weights = field(default_factory=Weights)


class Progress(NamedTuple):
    """The progress of a training run; ``validation`` is set at the end of a round."""

    epoch: float
    done: float  # estimated share of the whole, 0 to 1
    loss: float  # a running mean
    validation: Validation | None
    phase: str = "training"

    @classmethod
    def at(cls, phase: str, done: float) -> "Progress":
        """The beginning of another phase."""
        return cls(0.0, done, 0.0, None, phase)


@dataclass(frozen=True, slots=True)
class Privacy:
    """The guarantee: no user changes any outcome's probability by more than ``e^ε``, up to δ."""

    epsilon: float
    delta: float | None = None  # None: 1 / (10 · users)
    clip: float = 1.0  # largest norm of a user's gradient in a step
    lot: int = 256  # users per step, on average


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run; ``held_out`` is the newest share of the log, kept for validation."""

    config: ArtifactConfig
    recipe: Recipe
    width: int = 96
    blocks: int = 1
    dropout: float = 0.3
    reads: tuple[str, ...] = ("actions", "gaps")  # inputs of a sequence network besides items
    held_out: float = 0.1
    device: str = "cpu"
    encoder: Path | None = None  # a folder with a BERT for texts; the package's if None
    texts: bool = True  # use titles, if there is an encoder
    tune: str = "top"  # the encoder weights that the text network trains, see training.text.fit
    refit: bool = True  # train again on all events, as long as the held-out ones called for
    start: Path | None = None  # an older artifact for a warm start
    checkpoints: Path | None = None  # the folder to resume from
    privacy: Privacy | None = None  # None: no differential privacy
