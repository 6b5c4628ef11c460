"""The encoder of sequences, the same for training and serving.

Codes, for every input of the network:

- items: 0 padding, 1 unknown item, then the catalogue's index + 2;
- actions: 0 padding (or an action type the model does not know), then the position in
  ``config.actions`` + 1;
- hours: the hour of the week of the sequence's own clock, in UTC, 0 for Monday's first;
- gaps: 0 padding, then the bucket of the time from an action to the next one, and from the
  last one to the sequence's own clock. The gap at a position is therefore known only after the
  next action: a network trained at every position must not read it there.
"""

from collections.abc import Sequence as Batch
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import UNKNOWN, Catalogue
from model.config import PADDING_MULTIPLE, ArtifactConfig
from model.sequence import Sequence

Codes = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]

UNKNOWN_ITEM = 1
FIRST_ITEM = 2  # codes below are never predicted
FIRST_ACTION = 1
FIRST_GAP = 1
HOUR_MS = 3_600_000
WEEK_HOURS = 168
CENSORED = -1  # the label of an intent whose outcome is not known yet
_EPOCH_HOUR = 3 * 24  # of the week: 1970 began on a Thursday


class Ragged(NamedTuple):
    """B encoded sequences, concatenated: N actions in all, the oldest of each first."""

    items: Codes  # (N,)
    actions: Codes  # (N,)
    gaps: Codes  # (N,)
    lengths: Codes  # (B,)
    hours: Codes  # (B,)

    @property
    def starts(self) -> Ints:
        """The offset at which each sequence begins, (B,)."""
        return np.cumsum(self.lengths, dtype=np.int64) - self.lengths

    def known(self) -> npt.NDArray[np.bool_]:
        """Whether each sequence has at least one item of the catalogue, (B,)."""
        rows = np.repeat(np.arange(len(self.lengths)), self.lengths)
        hits = np.bincount(rows[self.items >= FIRST_ITEM], minlength=len(self.lengths))
        return hits > 0


class Padded(NamedTuple):
    """Encoded sequences as the network reads them: padded right, L a multiple of 4."""

    items: Codes  # (B, L)
    actions: Codes  # (B, L)
    gaps: Codes  # (B, L)
    lengths: Codes  # (B,)
    hours: Codes  # (B,)


def encode(sequences: Batch[Sequence], catalogue: Catalogue, config: ArtifactConfig) -> Padded:
    """Encode and pad; row i is sequence i."""
    return pad(flatten(sequences, catalogue, config))


def flatten(sequences: Batch[Sequence], catalogue: Catalogue, config: ArtifactConfig) -> Ragged:
    """Encode without padding; raises ``ValueError`` if a sequence's columns differ in length."""
    lengths = np.fromiter((len(s.items) for s in sequences), np.int64, len(sequences))
    codes = {name: code for code, name in enumerate(config.actions)}
    items = list(chain.from_iterable([s.items for s in sequences]))
    actions = list(chain.from_iterable([s.actions for s in sequences]))
    times_ms = list(chain.from_iterable([s.times_ms for s in sequences]))
    if not len(items) == len(actions) == len(times_ms):
        raise ValueError(
            f"{len(items)} items, {len(actions)} actions and {len(times_ms)} times in "
            f"{len(sequences)} sequences; expected the same number of each"
        )
    return flatten_columns(
        catalogue.codes(items),
        np.fromiter(map(codes.get, actions, repeat(UNKNOWN)), np.int64, len(actions)),
        np.array(times_ms, dtype=np.int64),
        lengths,
        np.array([s.now_ms for s in sequences], dtype=np.int64),
        config,
    )


def flatten_columns(
    items: Ints, actions: Ints, times_ms: Ints, lengths: Ints, now_ms: Ints, config: ArtifactConfig
) -> Ragged:
    """Encode columns of indices; keep the newest ``max_length`` actions of each sequence.

    ``items`` (N,) are indices into the catalogue and ``actions`` (N,) positions in
    ``config.actions``, -1 where unknown; the N actions are ordered by sequence, oldest first,
    with ``lengths`` (B,) of them in each; ``now_ms`` (B,) is each sequence's clock.
    """
    gaps_ms = _gaps_ms(times_ms, lengths, now_ms)
    if lengths.size and int(lengths.max()) > config.max_length:
        from_end = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(items))
        newest = from_end <= config.max_length
        items, actions, gaps_ms = items[newest], actions[newest], gaps_ms[newest]
        lengths = np.minimum(lengths, config.max_length)
    return Ragged(
        (items + FIRST_ITEM).astype(np.int32),
        (actions + FIRST_ACTION).astype(np.int32),
        bucket_gaps(gaps_ms, config),
        lengths.astype(np.int32),
        hours_of_week(now_ms),
    )


def hours_of_week(times_ms: Ints) -> Codes:
    """The hour of the week of each time, in UTC: 0 for Monday's first to 167."""
    return ((times_ms // HOUR_MS + _EPOCH_HOUR) % WEEK_HOURS).astype(np.int32)


def bucket_gaps(gaps_ms: Ints, config: ArtifactConfig) -> Codes:
    """The code of each time span; a negative one counts as 0.

    Integers are compared, so that the logarithm of a platform cannot shift a bound.
    """
    bounds = np.array(config.gap_bounds_ms, dtype=np.int64)
    return (np.searchsorted(bounds, gaps_ms, side="right") + FIRST_GAP).astype(np.int32)


def pad(ragged: Ragged, rows: Ints | None = None) -> Padded:
    """Pad these rows (all, in order, if None) to a multiple of 4 as long as the longest."""
    lengths, starts, hours = ragged.lengths, ragged.starts, ragged.hours
    if rows is not None:
        lengths, starts, hours = lengths[rows], starts[rows], hours[rows]
    longest = max(1, int(lengths.max(initial=0)))
    width = -(-longest // PADDING_MULTIPLE) * PADDING_MULTIPLE
    columns = np.arange(width)
    real = columns < lengths[:, None]  # (B, L)
    source = (starts[:, None] + columns)[real]
    padded = np.zeros((3, len(lengths), width), dtype=np.int32)
    for codes, out in zip(ragged[:3], padded, strict=True):
        out[real] = codes[source]
    return Padded(padded[0], padded[1], padded[2], lengths, hours)


def random_windows(
    config: ArtifactConfig, items: int, rows: int, width: int | None = None
) -> Padded:
    """Random windows of all lengths and codes, padded to ``width``, by default the widest.

    ``items`` is the size of the catalogue. They are always the same.
    """
    draw = np.random.default_rng(rows)
    shape = (rows, width or config.padded_length)
    lengths = np.linspace(1, min(config.max_length, shape[1]), rows).astype(np.int32)
    real = np.arange(shape[1]) < lengths[:, None]

    def codes(low: int, high: int) -> Codes:
        return np.where(real, draw.integers(low, high, shape), 0).astype(np.int32)

    # From a tenth of the catalogue, so that items repeat, and with some unknown ones.
    drawn = codes(FIRST_ITEM - 1, FIRST_ITEM + items // 10 + 1)
    hours = draw.integers(0, WEEK_HOURS, rows).astype(np.int32)
    return Padded(drawn, codes(1, config.action_codes), codes(1, config.gap_codes), lengths, hours)


def _gaps_ms(times_ms: Ints, lengths: Ints, now_ms: Ints) -> Ints:
    following = np.empty_like(times_ms)
    following[:-1] = times_ms[1:]
    filled = lengths > 0
    following[np.cumsum(lengths)[filled] - 1] = now_ms[filled]
    return following - times_ms
