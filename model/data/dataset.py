"""The data set: an event log as flat numeric columns, one user after the other.

A log of N events becomes a few NumPy columns (13 bytes an event) and one offset per user; no
event ever becomes a Python object.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import NO_CATEGORY, PER_EVENT, UNKNOWN, Catalogue
from model.config import ArtifactConfig
from model.errors import DataError
from model.features import CENSORED

if TYPE_CHECKING:
    import polars as pl

    from model.data.log import Item

Ints = npt.NDArray[np.int64]

NO_NEXT = -2  # below UNKNOWN: there is no next item to predict
TRAINED_UNTIL = "trained_until_ms"  # in a manifest: no later event was trained on
NAMED = 10  # unknown actions in a message, at most
SELECTED_UNTIL = "selected_until_ms"  # nor was a later one used for model selection


class Histories(NamedTuple):
    """The events of U users, N in all, each user's oldest first."""

    items: npt.NDArray[np.int32]  # (N,) catalogue indices, UNKNOWN if not in the catalogue
    actions: npt.NDArray[np.int8]  # (N,) positions in config.actions
    times_ms: Ints  # (N,)
    offsets: Ints  # (U + 1,) user u's events are offsets[u] to offsets[u + 1]

    def until(self, end_ms: int) -> "Histories":
        """The events before ``end_ms``."""
        kept = self.times_ms < end_ms
        before = np.concatenate([[0], np.cumsum(kept)])
        offsets = np.unique(before[self.offsets])  # drops users without an event left
        return Histories(self.items[kept], self.actions[kept], self.times_ms[kept], offsets)

    @property
    def users(self) -> Ints:
        """(N,) the user of each event, counted from 0."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    @property
    def is_last(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the event is its user's last."""
        last = np.zeros(len(self.items), dtype=np.bool_)
        last[self.offsets[1:] - 1] = True
        return last


class Labels(NamedTuple):
    """The prediction targets after each of the N events."""

    next_items: npt.NDArray[np.int32]  # (N,) catalogue indices, UNKNOWN, or NO_NEXT
    intents: npt.NDArray[np.int8]  # (N, A) 1, 0, or CENSORED

    @property
    def useful(self) -> npt.NDArray[np.bool_]:
        """(N,) whether the event has a next item or an intent that is not censored."""
        known = (self.intents != CENSORED).any(axis=1)
        useful: npt.NDArray[np.bool_] = (self.next_items != NO_NEXT) | known
        return useful


@dataclass(frozen=True, slots=True)
class Period:
    """A span of event time, ``start_ms`` included, ``end_ms`` not."""

    start_ms: int
    end_ms: int


def cut_ms(frame: "pl.LazyFrame", share: float) -> Period:
    """The period of the newest ``share`` of the events.

    Raises ``DataError`` if there is no time at which the log can be split in two.
    """
    import polars as pl

    ts = pl.col("ts")
    cut = ts.quantile(1 - share, interpolation="higher").cast(pl.Int64)
    times = frame.select(first=ts.min(), cut=cut, last=ts.max()).collect(engine="streaming")
    first, at, last = times.row(0)
    if not first < at:
        raise DataError(
            f"the log runs from {first} to {last} ms and cannot be split by time into a part to "
            "train on and one to validate on; give a longer log"
        )
    return Period(at, last + 1)


def build_catalogue(
    frame: "pl.LazyFrame", now_ms: int, half_life_s: float, extra: "Mapping[str, Item]"
) -> Catalogue:
    """All items of the log and of ``extra``, in order of their ids, with decayed counts.

    An item's category is the one in ``extra``, else its most frequent one in the log.
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


def with_new_items(catalogue: Catalogue, frame: "pl.LazyFrame") -> Catalogue:
    """The catalogue with the log's other items at its end: no category, and a count of 0."""
    names = frame.select("item_id").unique().collect(engine="streaming")["item_id"]
    new = sorted(set(names) - catalogue.index.keys())
    return Catalogue(
        (*catalogue.items, *new),
        catalogue.categories,
        np.append(catalogue.item_categories, np.full(len(new), NO_CATEGORY)),
        np.append(catalogue.counts, np.zeros(len(new), dtype=np.int64)),
    )


def read_histories(
    frame: "pl.LazyFrame", catalogue: Catalogue, config: ArtifactConfig
) -> Histories:
    """Collect a log whose rows are sorted by user, then time.

    Raises ``DataError`` for an action that is not in ``config.actions``.
    """
    import polars as pl

    def position(column: str, names: tuple[str, ...]) -> pl.Expr:
        codes = pl.col(column).cast(pl.Enum(list(names)), strict=False).to_physical()
        return codes.cast(pl.Int32).fill_null(UNKNOWN)

    user = pl.col("user_id")
    columns = frame.select(
        item=position("item_id", catalogue.items),
        action=position("action", config.actions).cast(pl.Int8),
        ts=pl.col("ts"),
        starts=(user != user.shift(1)).fill_null(True),
        unknown=pl.when(position("action", config.actions) == UNKNOWN).then(pl.col("action")),
    ).collect(engine="streaming")
    unknown = columns["unknown"].drop_nulls().unique().sort()
    if len(unknown):
        found = ", ".join(map(repr, unknown[:NAMED]))
        more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
        raise DataError(
            f"the log has the {'action' if len(unknown) == 1 else 'actions'} {found}{more}, "
            f"expected {', '.join(config.actions)}; name all of its actions with --actions, and "
            "what counts as cart and buy with --intent"
        )
    starts = np.flatnonzero(columns["starts"].to_numpy())
    return Histories(
        columns["item"].to_numpy(),
        columns["action"].to_numpy(),
        columns["ts"].to_numpy(),
        np.append(starts, len(columns)).astype(np.int64),
    )


def label(histories: Histories, period: Period, config: ArtifactConfig) -> Labels:
    """The labels of each event, as far as they fall into the period.

    A next item is a label if it was acted on within the period. An intent is labelled for events
    within the period whose horizon ends before the period does; otherwise it is ``CENSORED``,
    because an action that has merely not been seen yet would count as a negative.
    """
    times_ms, last = histories.times_ms, histories.is_last
    following = np.roll(histories.items, -1)
    seen = ~last & (np.roll(times_ms, -1) >= period.start_ms)
    inside = (times_ms >= period.start_ms) & (times_ms + config.horizon_s * 1000 < period.end_ms)
    horizon_ms = config.horizon_s * 1000
    intents = np.empty((len(times_ms), len(config.intents)), dtype=np.int8)
    for column, codes in enumerate(config.counted_codes):
        intents[:, column] = _happens_within(histories, codes, horizon_ms)
    intents[~inside] = CENSORED
    return Labels(np.where(seen, following, NO_NEXT).astype(np.int32), intents)


def _happens_within(
    histories: Histories, actions: Sequence[int], horizon_ms: int
) -> npt.NDArray[np.bool_]:
    """(N,) whether the same user performs one of the actions later, within the horizon."""
    n_events = len(histories.items)
    counts = np.isin(histories.actions, np.array(actions, dtype=np.int8))
    positions = np.where(counts, np.arange(n_events), n_events)
    # The next one after each event: the smallest position to its right.
    after = np.minimum.accumulate(np.append(positions[1:], n_events)[::-1])[::-1]
    ends = np.repeat(histories.offsets[1:], np.diff(histories.offsets))
    found = after < ends
    waited_ms = histories.times_ms[np.where(found, after, 0)] - histories.times_ms
    happens: npt.NDArray[np.bool_] = found & (waited_ms <= horizon_ms)
    return happens


def decayed_counts(frame: "pl.LazyFrame", now_ms: int, half_life_s: float) -> "pl.LazyFrame":
    """``item_id`` and ``count``: ``Σ 1000 · 2^−(age / half-life)`` over its events, rounded.

    Every item of the log has a count of at least 1.
    """
    import polars as pl

    ages_s = (now_ms - pl.col("ts")).clip(lower_bound=0) / 1000
    weight = pl.lit(2.0).pow(-ages_s / half_life_s)
    count = (weight.sum() * PER_EVENT).round().cast(pl.Int64).clip(lower_bound=1)
    return frame.group_by("item_id").agg(count.alias("count"))


def spans(begins: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """The span and the array position of every element of many spans, span by span."""
    rows = np.repeat(np.arange(len(begins)), lengths)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return rows, begins[rows] + within
