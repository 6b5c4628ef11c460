"""The questions of an evaluation: when to ask, what is known then, and what came of it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import UNKNOWN
from model.config import ArtifactConfig
from model.data.dataset import NO_NEXT, Histories, Period, label
from model.features import CENSORED

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


class Questions(NamedTuple):
    """Q moments to ask at; the sequence of one is the events ``begin`` to ``end``."""

    begin: Ints  # (Q,)
    end: Ints  # (Q,) equal to begin where nothing is known of the user
    users: Ints  # (Q,) places in the histories
    targets: Ints  # (Q,) the next item, UNKNOWN if the catalogue has it not, or NO_NEXT
    intents: npt.NDArray[np.int8]  # (Q, A) 1, 0, or CENSORED
    repeated: Mask  # (Q,) whether the next item stands in the sequence already

    def take(self, rows: Ints | Mask | slice) -> "Questions":
        """Only these questions."""
        begin, end, users, targets, intents, repeated = self
        return Questions(
            begin[rows], end[rows], users[rows], targets[rows], intents[rows], repeated[rows]
        )


def ask(histories: Histories, config: ArtifactConfig, period: Period) -> Questions:
    """One question after each event that has something to predict, one before each newcomer."""
    labels = label(histories, period, config)
    last = np.flatnonzero(labels.useful)  # the newest event that is known
    first = histories.offsets[:-1]
    users = histories.users
    new = np.flatnonzero(histories.times_ms[first] >= period.start_ms)
    newcomers = first[new]
    begin = np.concatenate(
        [newcomers, np.maximum(first[users[last]], last + 1 - config.max_length)]
    )
    end = np.concatenate([newcomers, last + 1])
    targets = np.concatenate([histories.items[newcomers], labels.next_items[last]])
    unasked = np.full((len(newcomers), len(config.intents)), CENSORED, dtype=np.int8)
    return Questions(
        begin,
        end,
        np.concatenate([new, users[last]]),
        targets.astype(np.int64),
        np.concatenate([unasked, labels.intents[last]]),
        _repeated(histories.items, begin, end, targets),
    )


def groups(questions: Questions, trained: Mask) -> dict[str, Mask]:
    """The questions that have a next item: all, and by what is known of the user and of the item.

    ``trained`` (V,) says which items there was something to learn of.
    """
    asked = questions.targets != NO_NEXT
    known = questions.end - questions.begin
    warm = (questions.targets >= 0) & trained[np.maximum(questions.targets, 0)]
    return {
        "all": asked,
        "no actions yet": asked & (known == 0),
        "1-4 actions": asked & (known >= 1) & (known < 5),
        "5-19 actions": asked & (known >= 5) & (known < 20),
        "20 and more": asked & (known >= 20),
        "new to the window": asked & ~questions.repeated,
        "warm item": asked & warm,
        "cold item (never trained on)": asked & ~warm,
    }


def _repeated(items: npt.NDArray[np.int32], begin: Ints, end: Ints, targets: Ints) -> Mask:
    found = np.zeros(len(end), dtype=np.bool_)
    longest = int((end - begin).max(initial=0))
    for back in range(1, longest + 1):
        place = end - back
        found |= (place >= begin) & (items[np.maximum(place, 0)] == targets)
    repeated: Mask = found & (targets != UNKNOWN)
    return repeated
