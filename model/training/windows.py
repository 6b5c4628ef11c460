"""The windows: long histories cut to the network's input length, batched by length."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.config import PADDING_MULTIPLE, ArtifactConfig
from model.data.dataset import NO_NEXT, Histories, Labels, spans
from model.features import CENSORED, Padded, flatten_columns, pad

Ints = npt.NDArray[np.int64]


class Windows(NamedTuple):
    """W spans of the flat columns; the first ``context`` positions are input without a target."""

    starts: Ints  # (W,)
    lengths: Ints  # (W,)
    context: Ints  # (W,)

    def take(self, rows: Ints | npt.NDArray[np.bool_]) -> "Windows":
        """Only these windows, in this order."""
        return Windows(self.starts[rows], self.lengths[rows], self.context[rows])


class Batch(NamedTuple):
    """B windows with the targets of each position."""

    inputs: Padded
    next_items: Ints  # (B, L) catalogue indices, UNKNOWN, or NO_NEXT
    intents: npt.NDArray[np.int8]  # (B, L, A) 1, 0, or CENSORED


def cut_windows(offsets: Ints, longest: int, stride: int) -> Windows:
    """Cut histories into windows of at most ``longest`` events; each event has one prediction.

    A longer history is covered by windows that begin every ``stride`` events: positions that one
    window predicts from are context in the next. Serving corresponds to a stride of 1.
    """
    totals = np.diff(offsets)
    per_user = 1 + np.maximum(0, -(-(totals - longest) // stride))
    users = np.repeat(np.arange(len(totals)), per_user)
    number = np.arange(len(users)) - np.repeat(np.cumsum(per_user) - per_user, per_user)
    begin = number * stride
    return Windows(
        starts=offsets[users] + begin,
        lengths=np.minimum(longest, totals[users] - begin),
        context=np.where(number > 0, longest - stride, 0),
    )


def windows_until(histories: Histories, ends: Ints, config: ArtifactConfig) -> Padded:
    """The windows that serving sees right after each of these events (B,), the event included."""
    user_begins = histories.offsets[np.searchsorted(histories.offsets, ends, side="right") - 1]
    lengths = np.minimum(ends + 1 - user_begins, config.max_length)
    _, source = spans(ends + 1 - lengths, lengths)
    return pad(
        flatten_columns(
            histories.items[source].astype(np.int64),
            histories.actions[source].astype(np.int64),
            histories.times_ms[source],
            lengths,
            histories.times_ms[ends],
            config,
        )
    )


class Batches:
    """Batches of the windows that have a target.

    ``overlap`` is the share of a window that the next one repeats: half is cheap to train on,
    more is closer to serving.
    """

    def __init__(
        self, histories: Histories, labels: Labels, config: ArtifactConfig, overlap: float = 0.5
    ) -> None:
        self._histories = histories
        self._labels = labels
        self._config = config
        self._drawn: tuple[tuple[int, tuple[int, ...]], list[Ints]] | None = None
        stride = max(1, round(config.max_length * (1 - overlap)))
        windows = cut_windows(histories.offsets, config.max_length, stride)
        before = np.concatenate([[0], np.cumsum(labels.useful)])
        ends = windows.starts + windows.lengths
        self.windows = windows.take(before[ends] > before[windows.starts + windows.context])

    def batch(self, padded_tokens: int, epoch: tuple[int, ...], index: int) -> Batch:
        """One batch of an epoch; a batch holds windows of similar length, batches are shuffled.

        ``epoch`` is the seed of the shuffle, so any batch can be made at any time.
        """
        key = (padded_tokens, epoch)
        if self._drawn is None or self._drawn[0] != key:
            rng = np.random.default_rng(epoch)
            batches = list(self._split(rng.permutation(len(self.windows.starts)), padded_tokens))
            order = rng.permutation(len(batches))
            self._drawn = key, [batches[number] for number in order]
        return self.of(self._drawn[1][index])

    def in_order(self, padded_tokens: int, most_windows: int, seed: int) -> Iterator[Batch]:
        """Yield at most ``most_windows`` windows, the same ones for a seed, shortest last."""
        order = np.random.default_rng(seed).permutation(len(self.windows.starts))
        for rows in self._split(order[:most_windows], padded_tokens):
            yield self.of(rows)

    def count(self, padded_tokens: int) -> int:
        """The number of batches in an epoch."""
        return sum(1 for _ in self._split(np.arange(len(self.windows.starts)), padded_tokens))

    def _split(self, order: Ints, padded_tokens: int) -> Iterator[Ints]:
        lengths = self.windows.lengths[order]
        order = order[np.argsort(-lengths, kind="stable")]
        widths = -(-self.windows.lengths[order] // PADDING_MULTIPLE) * PADDING_MULTIPLE
        start = 0
        while start < len(order):
            rows = max(1, padded_tokens // int(widths[start]))
            yield order[start : start + rows]
            start += rows

    def of(self, rows: Ints) -> Batch:
        """The batch of these windows."""
        windows = self.windows.take(rows)
        lengths = windows.lengths
        rows, source = spans(windows.starts, lengths)
        times_ms = self._histories.times_ms[source]
        inputs = pad(
            flatten_columns(
                self._histories.items[source].astype(np.int64),
                self._histories.actions[source].astype(np.int64),
                times_ms,
                lengths,
                times_ms[np.cumsum(lengths) - 1],
                self._config,
            )
        )
        predicted = source >= (windows.starts + windows.context)[rows]
        real = np.arange(inputs.items.shape[1]) < lengths[:, None]
        next_items = np.full(inputs.items.shape, NO_NEXT, dtype=np.int64)
        next_items[real] = np.where(predicted, self._labels.next_items[source], NO_NEXT)
        intents = np.full((*real.shape, self._labels.intents.shape[1]), CENSORED, dtype=np.int8)
        intents[real] = np.where(predicted[:, None], self._labels.intents[source], CENSORED)
        return Batch(inputs, next_items, intents)
