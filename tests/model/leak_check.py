"""The leak check: the training inputs must not depend on the held-out events."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from model.data.log import EventLog, Item
from model.training.plan import Plan
from model.training.training_data import TrainingData, read

if TYPE_CHECKING:
    import polars as pl

SEED = 20_260_102


def leaks(log: EventLog, plan: Plan, items: Mapping[str, Item] | None = None) -> list[str]:
    """The names of the training inputs that change if the held-out events do; must be empty.

    The log is read twice, the second time with its held-out events altered; it must fit into
    memory. What the held-out events are for may differ: early stopping, balancing, calibration
    and the counts behind the score of new users. (If the weights are then trained again on all
    events, ``trained_until_ms`` records it, and no figures on those events are reported.)
    """
    data = read(log, plan, items or {})
    frame = altered(log.frame, data.held_out.start_ms)
    before, after = learnt(data), learnt(read(replace(log, frame=frame), plan, items or {}))
    return [name for name in before if before[name] != after[name]]


def learnt(data: TrainingData) -> dict[str, bytes]:
    """The inputs of the weights and the base rates, by name."""
    arrays: dict[str, npt.NDArray[Any]] = {
        "items": data.learnt.items,
        "actions": data.learnt.actions,
        "times": data.learnt.times_ms,
        "users": data.learnt.offsets,
        "next items": data.learnt_labels.next_items,
        "intents": data.learnt_labels.intents,
        "counts": data.counts,
        "categories of the items": data.catalogue.item_categories,
    }
    texts = {
        "catalogue": data.catalogue.items,
        "categories": data.catalogue.categories,
        "texts": data.texts,
    }
    return {name: array.tobytes() for name, array in arrays.items()} | {
        name: "\n".join(lines).encode() for name, lines in texts.items()
    }


def altered(frame: "pl.LazyFrame", from_ms: int, seed: int = SEED) -> "pl.LazyFrame":
    """The log with other events from ``from_ms`` on, at the same times by the same users.

    In those events, items are swapped with each other, and so are actions: every count, order and
    label changes, but no item or category is added or lost.
    """
    import polars as pl

    rng = np.random.default_rng(seed)
    events = frame.collect()
    late = events.filter(pl.col("ts") >= from_ms)
    category_of = dict(zip(late["item_id"], late["category"], strict=True))
    items = _swapped(sorted(category_of), rng)
    actions = _swapped(sorted(set(late["action"])), rng)
    after = pl.col("ts") >= from_ms
    item = pl.col("item_id").replace_strict(items, default=None)
    other = {name: category_of[items[name]] for name in items}
    return events.lazy().with_columns(
        item_id=pl.when(after).then(item).otherwise("item_id"),
        category=pl.when(after)
        .then(pl.col("item_id").replace_strict(other, default=None, return_dtype=pl.String))
        .otherwise("category"),
        action=pl.when(after)
        .then(pl.col("action").replace_strict(actions, default=None))
        .otherwise("action"),
    )


def _swapped(names: list[str], rng: np.random.Generator) -> dict[str, str]:
    """Each name's successor in a random cycle: a different name, unless there is only one."""
    circle = rng.permutation(names).tolist()
    return dict(zip(circle, circle[1:] + circle[:1], strict=True))
