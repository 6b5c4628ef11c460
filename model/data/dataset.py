"""The data set: an event log as flat columns of numbers, one user after the other.

A log of N events becomes a few NumPy columns (13 bytes an event) and one offset per user; no
event is ever a Python object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import PER_EVENT, UNKNOWN, Catalogue
from model.config import ArtifactConfig
from model.errors import DataError
from model.features import CENSORED

if TYPE_CHECKING:
    import polars as pl

    from model.data.log import Item

Ints = npt.NDArray[np.int64]

NO_NEXT = -2  # below UNKNOWN: there is no next item to predict
TRAINED_UNTIL = "trained_until_ms"  # in a manifest: the weights know no later event
SELECTED_UNTIL = "selected_until_ms"  # and no later one had a say in anything


class Histories(NamedTuple):
    """What U users did, N events in all, each user's oldest first."""

    items: npt.NDArray[np.int32]  # (N,) catalogue indices, UNKNOWN where it has not the item
    actions: npt.NDArray[np.int8]  # (N,) positions in config.actions
    times_ms: Ints  # (N,)
    offsets: Ints  # (U + 1,) user u's events are offsets[u] to offsets[u + 1]

    def until(self, end_ms: int) -> "Histories":
        """Only what was done before ``end_ms``."""
        kept = self.times_ms < end_ms
        before = np.concatenate([[0], np.cumsum(kept)])
        offsets = np.unique(before[self.offsets])  # users who came later drop out
        return Histories(self.items[kept], self.actions[kept], self.times_ms[kept], offsets)

    @property
    def users(self) -> Ints:
        """(N,) whose each event is, counted from 0."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def is_last(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the user did nothing after."""
        last = np.zeros(len(self.items), dtype=np.bool_)
        last[self.offsets[1:] - 1] = True
        return last


class Labels(NamedTuple):
    """What is to be predicted after each of the N events."""

    next_items: npt.NDArray[np.int32]  # (N,) catalogue indices, UNKNOWN, or NO_NEXT
    intents: npt.NDArray[np.int8]  # (N, A) 1, 0, or CENSORED

    @property
    def useful(self) -> npt.NDArray[np.bool_]:
        """(N,) whether there is a next item after the event, or an intent that is known."""
        known = (self.intents != CENSORED).any(axis=1)
        useful: npt.NDArray[np.bool_] = (self.next_items != NO_NEXT) | known
        return useful


@dataclass(frozen=True, slots=True)
class Period:
    """A span of event time, ``start_ms`` included, ``end_ms`` not."""

    start_ms: int
    end_ms: int


def cut_ms(frame: "pl.LazyFrame", share: float) -> Period:
    """The newest ``share`` of the events, as the period they fall into.

    Raises ``DataError`` if the log has no moment at which to cut it in two.
    """
    import polars as pl

    ts = pl.col("ts")
    cut = ts.quantile(1 - share, interpolation="higher").cast(pl.Int64)
    times = frame.select(first=ts.min(), cut=cut, last=ts.max()).collect(engine="streaming")
    first, at, last = times.row(0)
    if not first < at:
        raise DataError(
            f"the log holds {first} to {last} ms and cannot be cut by time into a part to learn "
            "from and one to check on; give a longer log"
        )
    return Period(at, last + 1)


def build_catalogue(
    frame: "pl.LazyFrame", now_ms: int, half_life_s: float, extra: "Mapping[str, Item]"
) -> Catalogue:
    """All items of the log and of ``extra``, in order of their ids, with decayed counts.

    An item's category is what ``extra`` says, else the one it most often had in the log.
    """
    import polars as pl

    counted = decayed_counts(frame, now_ms, half_life_s)
    named = frame.filter(pl.col("category").is_not_null()).group_by("item_id", "category").len()
    most = named.sort("len", "category", descending=[True, False]).unique(
        "item_id", keep="first", maintain_order=True
    )
    table = counted.join(most.select("item_id", "category"), on="item_id", how="left").collect(
        engine="streaming"
    )
    counts = dict(zip(table["item_id"], table["count"], strict=True))
    category_of = dict(zip(table["item_id"], table["category"], strict=True))
    category_of |= {item.item_id: item.category for item in extra.values() if item.category}
    items = sorted(counts.keys() | extra.keys())
    return Catalogue.from_names(
        items, [category_of.get(item) for item in items], [counts.get(item, 0) for item in items]
    )


def read_histories(
    frame: "pl.LazyFrame", catalogue: Catalogue, config: ArtifactConfig
) -> Histories:
    """Collect a log whose rows stand by user, then time.

    Raises ``DataError`` for an action that is none of ``config.actions``.
    """
    import polars as pl

    def place(column: str, names: tuple[str, ...]) -> pl.Expr:
        codes = pl.col(column).cast(pl.Enum(list(names)), strict=False).to_physical()
        return codes.cast(pl.Int32).fill_null(UNKNOWN)

    user = pl.col("user_id")
    columns = frame.select(
        item=place("item_id", catalogue.items),
        action=place("action", config.actions).cast(pl.Int8),
        ts=pl.col("ts"),
        starts=(user != user.shift(1)).fill_null(True),
        unknown=pl.when(place("action", config.actions) == UNKNOWN).then(pl.col("action")),
    ).collect(engine="streaming")
    unknown = columns["unknown"].drop_nulls().unique().sort()
    if len(unknown):
        raise DataError(
            f"the log has the action {unknown[0]!r}, expected {', '.join(config.actions)}; "
            "name all of its actions with --actions"
        )
    starts = np.flatnonzero(columns["starts"].to_numpy())
    return Histories(
        columns["item"].to_numpy(),
        columns["action"].to_numpy(),
        columns["ts"].to_numpy(),
        np.append(starts, len(columns)).astype(np.int64),
    )


def label(histories: Histories, period: Period, config: ArtifactConfig) -> Labels:
    """What came after each event, as far as it falls into the period.

    A next item counts if it was acted on within the period. An intent counts from events within
    the period, if its horizon is over before the period is: otherwise it is ``CENSORED``, or what
    is only not seen yet would pass for a no.
    """
    times_ms, last = histories.times_ms, histories.is_last
    following = np.roll(histories.items, -1)
    seen = ~last & (np.roll(times_ms, -1) >= period.start_ms)
    inside = (times_ms >= period.start_ms) & (times_ms + config.horizon_s * 1000 < period.end_ms)
    horizon_ms = config.horizon_s * 1000
    intents = np.empty((len(times_ms), len(config.intents)), dtype=np.int8)
    for column, name in enumerate(config.intents):
        intents[:, column] = _comes_true(histories, config.actions.index(name), horizon_ms)
    intents[~inside] = CENSORED
    return Labels(np.where(seen, following, NO_NEXT).astype(np.int32), intents)


def _comes_true(histories: Histories, action: int, horizon_ms: int) -> npt.NDArray[np.bool_]:
    """(N,) whether the same user does this later on, within the horizon."""
    n_events = len(histories.items)
    place = np.where(histories.actions == action, np.arange(n_events), n_events)
    # The next one after each event: the smallest place to its right.
    after = np.minimum.accumulate(np.append(place[1:], n_events)[::-1])[::-1]
    ends = np.repeat(histories.offsets[1:], np.diff(histories.offsets))
    found = after < ends
    waited_ms = histories.times_ms[np.where(found, after, 0)] - histories.times_ms
    comes: npt.NDArray[np.bool_] = found & (waited_ms <= horizon_ms)
    return comes


def decayed_counts(frame: "pl.LazyFrame", now_ms: int, half_life_s: float) -> "pl.LazyFrame":
    """``item_id`` and ``count``: ``Σ 1000 · 2^−(age / half-life)`` over its events, rounded.

    An item that is in the log at all counts at least 1.
    """
    import polars as pl

    ages_s = (now_ms - pl.col("ts")).clip(lower_bound=0) / 1000
    weight = pl.lit(2.0).pow(-ages_s / half_life_s)
    count = (weight.sum() * PER_EVENT).round().cast(pl.Int64).clip(lower_bound=1)
    return frame.group_by("item_id").agg(count.alias("count"))


def spans(begins: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Row and place of every element of many spans of one array, span after span."""
    rows = np.repeat(np.arange(len(begins)), lengths)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return rows, begins[rows] + within
