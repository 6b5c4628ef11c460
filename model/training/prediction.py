"""Predictions for held-out events: ranks and logits of a network, batch by batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.config import ArtifactConfig
from model.data.dataset import NO_NEXT
from model.features import Padded
from model.training.results import Predictions
from model.training.sampling import batches
from model.training.training_data import TrainingData
from model.training.windows import windows_until

Ints = npt.NDArray[np.int64]
# Takes windows and the catalogue indices of the next items (B,), negative for none; returns their
# ranks (B,) and the intent logits (B, A).
Answer = Callable[[Padded, Tensor], tuple[Tensor, Tensor]]


@torch.no_grad()
def predict_events(
    data: TrainingData,
    config: ArtifactConfig,
    events: Ints,
    at_once: int,
    answer: Answer,
    is_over: Callable[[], bool] = lambda: False,
) -> Predictions:
    """Predict after these events of the whole log, ``at_once`` at a time, with their labels.

    The rest is left out once ``is_over``.
    """
    labels = data.held_out_labels
    next_items = labels.next_items[events].astype(np.int64)
    ranks, logits = [np.zeros(0, np.int64)], [np.zeros((0, len(config.intents)), np.float32)]
    for rows in batches(np.arange(len(events)), at_once):
        windows = windows_until(data.whole, events[rows], config)
        found, intents = answer(windows, torch.from_numpy(next_items[rows]))
        ranks.append(found.cpu().numpy())
        logits.append(intents.cpu().numpy())
        if is_over():
            events = events[: rows[-1] + 1]
            next_items = next_items[: len(events)]
            break
    followed = next_items != NO_NEXT
    return Predictions(
        np.concatenate(ranks)[followed], np.concatenate(logits), labels.intents[events]
    )


def ranks_of(targets: Tensor, probabilities: Tensor) -> Tensor:
    """The rank of each target (B,) in probabilities (B, V), the last among equals; 0 if unknown."""
    targets = targets.to(probabilities.device)
    expected = probabilities.gather(1, targets.clamp(min=0)[:, None])
    return (probabilities >= expected).sum(1).masked_fill(targets < 0, 0)


def tensors(windows: Padded, device: torch.device | str = "cpu") -> list[Tensor]:
    """The arrays of windows as tensors, in the order of ``Padded``."""
    return [torch.from_numpy(codes).to(device) for codes in windows]


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Put the network in eval mode for the duration of the block."""
    was_training = network.training
    network.train(False)
    try:
        yield
    finally:
        network.train(was_training)
