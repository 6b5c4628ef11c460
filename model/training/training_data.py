"""The training data: a labelled log, split into a training and a held-out period."""

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

import numpy as np
import numpy.typing as npt

from model.catalogue import HALF_LIFE_S, Catalogue
from model.config import ArtifactConfig
from model.data.attribute_codes import Attributes
from model.data.dataset import (
    Histories,
    Labels,
    Period,
    build_catalogue,
    cut_ms,
    label,
    read_histories,
)
from model.data.log import EventLog, Item
from model.errors import DataError
from model.training.plan import Plan

BEGINNING_MS = -1  # before any event


class Sizes(TypedDict):
    """The sizes that the configuration of every network needs."""

    items: int
    categories: int
    actions: int
    intents: int


class TrainingData(NamedTuple):
    """A labelled log: the events to train on, and those to hold out."""

    catalogue: Catalogue
    held_out: Period
    learnt: Histories  # before the held-out period
    learnt_labels: Labels
    whole: Histories
    held_out_labels: Labels  # of the whole, NO_NEXT and CENSORED before the period
    whole_labels: Labels
    texts: tuple[str, ...]  # (V,) each item's title, else its category, else ""
    attributes: Attributes  # (V,) each item's attribute values besides its category
    fingerprint: str  # of the log

    def sizes(self, config: ArtifactConfig) -> Sizes:
        """The sizes of the catalogue, and of the actions in ``config``."""
        return Sizes(
            items=len(self.catalogue),
            categories=len(self.catalogue.categories),
            actions=len(config.actions),
            intents=len(config.intents),
        )

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """The actions on each item before the held-out period, (V,)."""
        return np.bincount(self.learnt.items, minlength=len(self.catalogue))


def read(log: EventLog, plan: Plan, items: Mapping[str, Item]) -> TrainingData:
    """Read the log into columns and label them; raises ``DataError`` if it is too short."""
    held_out = cut_ms(log.frame, plan.held_out)
    catalogue = _catalogue(log, held_out.end_ms, plan, items)
    whole = read_histories(log.frame, catalogue, plan.config)
    learnt = whole.until(held_out.start_ms)
    learnt_labels = label(learnt, Period(BEGINNING_MS, held_out.start_ms), plan.config)
    if not (learnt_labels.next_items >= 0).any():
        raise DataError(
            f"of {log.rows} rows, none before the newest {plan.held_out:.0%} is followed by "
            "another of the same user; give a log in which users act more than once"
        )
    return TrainingData(
        catalogue,
        held_out,
        learnt,
        learnt_labels,
        whole,
        label(whole, held_out, plan.config),
        label(whole, Period(BEGINNING_MS, held_out.end_ms), plan.config),
        _texts(catalogue, items),
        tuple(items[name].attributes if name in items else () for name in catalogue.items),
        log.fingerprint,
    )


def _catalogue(log: EventLog, end_ms: int, plan: Plan, items: Mapping[str, Item]) -> Catalogue:
    if plan.privacy is None:
        return build_catalogue(log.frame, end_ms, HALF_LIFE_S, items)
    if not items:
        raise DataError(
            "privacy needs the list of items, since an item known from the log alone reveals that "
            "a user acted on it; give --items, or leave --dp-epsilon out"
        )
    names = sorted(items)
    return Catalogue.from_names(names, [items[name].category for name in names], [0] * len(names))


def _texts(catalogue: Catalogue, items: Mapping[str, Item]) -> tuple[str, ...]:
    categories = (*catalogue.categories, "")  # NO_CATEGORY is the last one
    titles = (items[name].title if name in items else None for name in catalogue.items)
    return tuple(
        title or categories[category]
        for title, category in zip(titles, catalogue.item_categories.tolist(), strict=True)
    )
