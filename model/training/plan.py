"""The plan: what to make of a log, how to train, and how far a training has come."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from model.config import ArtifactConfig
from model.training.results import Validation


@dataclass(frozen=True, slots=True)
class Weights:
    """What the objective weighs, and how much it hides."""

    draws: int = 2_048  # negatives, where the catalogue is too large to take whole
    category: float = 0.1
    intent: float = 1.0
    unknown_share: float = 0.01  # of items hidden, so that the unknown one is learnt too
    new_share: float = 0.1  # of ids hidden, so that attributes and text alone say something


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train; the defaults were found on public session data (docs/adr/0010-training.md)."""

    epochs: int = 100  # at most
    minutes: float | None = None  # in all, and then no run is like another
    seed: int = 0
    padded_tokens: int = 1_024  # in a batch
    learning_rate: float = 2e-3
    embedding_rate: float = 4.0  # times the learning rate; unit vectors turn slowly
    warm_up_steps: int = 100
    weight_decay: float = 0.01
    average_decay: float = 0.999
    clip_norm: float = 5.0
    patience: int = 2  # rounds without a better validation
    least_gain: float = 1e-3  # as a share of what was best: less is not worth another round
    round_steps: tuple[int, int] = (150, 2_000)  # at least and at most; an epoch in between
    weights: Weights = field(default_factory=Weights)


class Progress(NamedTuple):
    """Where the training is; ``validation`` stands at the end of a round."""

    epoch: float
    done: float  # of the whole, 0 to 1, as far as one can tell
    loss: float  # a running mean
    validation: Validation | None


@dataclass(frozen=True, slots=True)
class Privacy:
    """The promise: no user changes the chance of any outcome by more than ``e^ε``, but for δ."""

    epsilon: float
    delta: float | None = None  # None: one in ten times as many as there are users
    clip: float = 1.0  # the longest gradient that a user may add to a step
    lot: int = 256  # users in a step, on average


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make of a log; ``held_out`` is the newest share of it, by which all is chosen."""

    config: ArtifactConfig
    recipe: Recipe
    width: int = 96
    blocks: int = 1
    dropout: float = 0.3
    reads: tuple[str, ...] = ("actions", "gaps")  # what a sequence network sees besides items
    held_out: float = 0.1
    device: str = "cpu"
    encoder: Path | None = None  # a folder with a BERT for texts; the package's if None
    texts: bool = True  # let titles say what an item is like, where there is an encoder
    tune: str = "top"  # what of it the text network trains, see training.text.fit
    refit: bool = True  # learn anew from all events once the held-out ones have said how long
    start: Path | None = None  # an older artifact, to start from what it learnt
    checkpoints: Path | None = None  # a folder to go on from after a break
    privacy: Privacy | None = None  # what no user may change more than; None: no promise
