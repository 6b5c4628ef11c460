"""The visit: the path network's prediction besides the score, in its published form."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.rounding import round_probabilities

Reals = npt.NDArray[np.float32]

STAGES = ("browsing", "comparing", "deciding", "leaving")
RELATIONS = ("same item", "same category", "other")
OUTPUTS = ("stages", "steps", "visit")  # of the graph, beyond those of every network
LISTED_STEPS = 5


def published(outputs: Mapping[str, Reals], actions: Sequence[str]) -> list[dict[str, Any]]:
    """One published object for each row of the outputs, with rounded probabilities.

    ``stages`` are in the order of ``STAGES``; ``next`` holds the likeliest steps if the visit
    goes on, best first; ``ends`` is the probability that it ends; ``unusual`` is the share of
    training visits that were less surprising.
    """
    names = [f"{action}/{relation}" for action in actions for relation in RELATIONS]
    stages, steps, visits = (round_probabilities(outputs[name]).tolist() for name in OUTPUTS)
    return [
        {
            "stages": dict(zip(STAGES, stage, strict=True)),
            "next": dict(_best(names, step)),
            "ends": ends,
            "unusual": unusual,
        }
        for stage, step, (ends, unusual) in zip(stages, steps, visits, strict=True)
    ]


def _best(names: Sequence[str], probabilities: Sequence[float]) -> list[tuple[str, float]]:
    return sorted(zip(names, probabilities, strict=True), key=lambda step: -step[1])[:LISTED_STEPS]
