"""The questions of an evaluation: when to ask, the actions known then, and the outcome."""

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
    """Q questions; the sequence of each is the events ``begin`` to ``end`` of the histories."""

    begin: Ints  # (Q,)
    end: Ints  # (Q,) equal to begin if the user has no actions yet
    users: Ints  # (Q,) user numbers of the histories
    targets: Ints  # (Q,) the next item, UNKNOWN if not in the catalogue, or NO_NEXT
    intents: npt.NDArray[np.int8]  # (Q, A) 1, 0, or CENSORED
    repeated: Mask  # (Q,) whether the next item is in the sequence already

    def take(self, rows: Ints | Mask | slice) -> "Questions":
        """Only these questions."""
        begin, end, users, targets, intents, repeated = self
        return Questions(
            begin[rows], end[rows], users[rows], targets[rows], intents[rows], repeated[rows]
        )


def ask(histories: Histories, config: ArtifactConfig, period: Period) -> Questions:
    """One question after each event with a label, and one before each new user's first event."""
    labels = label(histories, period, config)
    last = np.flatnonzero(labels.useful)  # the newest known event
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
    """The questions that have a next item: all, by known actions, and by type of the next item.

    ``trained`` (V,) is whether an item occurs in the training data.
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
        position = end - back
        found |= (position >= begin) & (items[np.maximum(position, 0)] == targets)
    repeated: Mask = found & (targets != UNKNOWN)
    return repeated
