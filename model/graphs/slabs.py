"""The best items of a catalogue, read a slab at a time: there are never B × V scores in memory."""

from collections.abc import Iterator
from typing import NamedTuple, Self

import torch
from torch import Tensor

from model.features import FIRST_ITEM

SLAB_ITEMS = 65_536
_SPARE = 4  # times as many as asked for are scored again exactly
_GROUP = 32  # items; only those of the groups with the best maxima are sorted
_LOWEST = -1e30  # a logit without weight; finite, so that it cannot lead to NaN
_UNITS = 2.0**48  # of a weight: they sum to 2**15 at most, and an int64 holds that
_INDEX_BITS = 32
_INDICES = (1 << _INDEX_BITS) - 1
_MAGNITUDE = 0x7FFF_FFFF


class Added(NamedTuple):
    """The weight that copy and rules add to N items of each sequence, each item named once.

    ``items`` (B, N) are catalogue indices in ascending order, of which only those in ``counts``
    are to be read: elsewhere the item is named again. An item's weight is ``weights * e^top``.
    """

    items: Tensor  # (B, N) int64
    counts: Tensor  # (B, N) bool
    weights: Tensor  # (B, N) float64
    top: Tensor  # (B, 1) float64
    total: Tensor  # (B,) float64: the logarithm of all weights

    @classmethod
    def of(cls, codes: Tensor, weights: Tensor, top: Tensor) -> Self:
        """Sum up the weights (B, N), 0 to 2 each, of item codes (B, N) that may repeat.

        They are summed as integers, which add up alike in any order, as floats do not.
        """
        items, order = torch.sort((codes.long() - FIRST_ITEM).clamp(min=0), dim=1)
        units = (weights.double() * _UNITS).round().long().gather(1, order)
        sums = units.cumsum(dim=1)
        following = torch.nn.functional.pad(items[:, 1:], (0, 1), value=-1)
        place = torch.arange(items.shape[1], device=items.device)
        last = items != following
        first = torch.nn.functional.pad(last[:, :-1], (1, 0), value=True)
        begin = torch.where(first, place, 0).cummax(dim=1).values
        before = torch.nn.functional.pad(sums, (1, 0)).gather(1, begin)
        top = top.double()
        total = (sums[:, -1].double() / _UNITS).log() + top[:, 0]
        return cls(items, last, (sums - before).double() / _UNITS, top, total)

    def logits(self, scores: Tensor) -> Tensor:
        """The logits (B, N) of the items, given their scores; the lowest where not to be read."""
        joined = torch.logaddexp(scores.double(), self.weights.log() + self.top)
        return joined.float().masked_fill(~self.counts, _LOWEST)

    def has(self, items: Tensor) -> Tensor:
        """Whether each of these items (B, K) is among them."""
        return self.items.gather(1, self._place(items)) == items

    def mix(self, items: Tensor, scores: Tensor) -> Tensor:
        """The logits (B, K) of these items, given their scores."""
        weights = self.weights.gather(1, self._place(items)).where(self.has(items), 0.0)
        return torch.logaddexp(scores.double(), weights.log() + self.top).float()

    def _place(self, items: Tensor) -> Tensor:
        """Where each of the items (B, K) that are among them is to be read."""
        return (torch.searchsorted(self.items, items, right=True) - 1).clamp(min=0)


class Catalogue(NamedTuple):
    """The items that a query is compared with: their vectors (V, D) and biases (V,).

    With ``rough``, the vectors in bfloat16, all items are scored by these, and the best of them
    once more by the exact ones.
    """

    vectors: Tensor
    biases: Tensor
    rough: Tensor | None = None

    def slabs(self, items: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Slabs of at most so many items: the index of the first, vectors and biases."""
        vectors = self.vectors if self.rough is None else self.rough
        for start in range(0, len(self.biases), items):
            yield start, vectors[start : start + items], self.biases[start : start + items]

    def exactly(self, queries: Tensor, items: Tensor) -> Tensor:
        """The float32 scores (B, K) of these items."""
        scores = (self.vectors[items] @ queries[:, :, None])[..., 0]
        return scores + self.biases[items]


def best(
    queries: Tensor, catalogue: Catalogue, added: Added, count: int, slab_items: int = SLAB_ITEMS
) -> tuple[Tensor, Tensor]:
    """The likeliest ``count`` items (B, K) of queries (B, D), best first, and their probabilities.

    ``p(y) = (e^score + what is added to y) / Z`` as in ``experts.join``; of equals the smaller
    index is first. Memory grows with B × ``slab_items``, not with V. All is exact in float32
    but for ``Catalogue.rough``, which leaves its mark on Z, and on who is among the best.

    What is not among the best by score, and has nothing added, is not among the best of all.
    """
    total = added.total
    own = torch.full_like(added.items, _LOWEST, dtype=queries.dtype)  # scores of those added to
    keys = added.items.new_empty(len(queries), 0)
    kept = count if catalogue.rough is None else _SPARE * count
    for start, vectors, biases in catalogue.slabs(slab_items):
        scores = _scores(queries, vectors, biases)  # (B, S)
        total = torch.logaddexp(total, torch.logsumexp(scores, dim=1).double())
        place = added.items - start
        within = (place >= 0) & (place < scores.shape[1])
        own = torch.where(within, scores.gather(1, place.clamp(0, scores.shape[1] - 1)), own)
        keys = _largest(torch.cat([keys, _best_keys(scores, start, kept)], dim=1), kept)
    mixed = _keys(added.logits(own), added.items)
    plain = keys.masked_fill(added.has(_items(keys)), torch.iinfo(keys.dtype).min)
    keys = _largest(torch.cat([plain, mixed], dim=1), min(kept, keys.shape[1]))
    if catalogue.rough is not None:
        items = _items(keys)
        exact = added.mix(items, catalogue.exactly(queries, items))
        # The best have most of the weight, so their exact scores replace the rough ones in Z.
        gain = _shares(exact, total) - _shares(_logits(keys), total)
        total = total + gain.sum(dim=1).log1p()
        keys = _largest(_keys(exact, items), count)
    return _items(keys), _shares(_logits(keys), total).float()


def _shares(logits: Tensor, total: Tensor) -> Tensor:
    return (logits.double() - total[:, None]).exp()


def top(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The columns of the ``count`` largest values (B, V), best first, and these values."""
    keys = _best_keys(values, 0, count)
    return _items(keys), _logits(keys)


def _scores(queries: Tensor, vectors: Tensor, biases: Tensor) -> Tensor:
    """The float32 scores (B, S); products of bfloat16 vectors are summed in float32."""
    if vectors.dtype == torch.float32:
        return torch.addmm(biases, queries, vectors.T)
    rounded = queries.to(vectors.dtype)
    if rounded.is_cuda:
        return torch.mm(rounded, vectors.T, out_dtype=torch.float32) + biases
    return torch.addmm(biases, rounded.float(), vectors.T.float())  # a CPU's mm rounds its sums


def _best_keys(scores: Tensor, start: int, count: int) -> Tensor:
    """The keys of the best of one slab's scores (B, S), of which the first is item ``start``.

    They all lie in the groups with the best maxima: a group that holds one of the best K has a
    better key than all but K - 1 of the others.
    """
    size = scores.shape[1]
    if size <= count * _GROUP:
        return _largest(_keys(scores, torch.arange(size, device=scores.device) + start), count)
    groups = torch.nn.functional.pad(scores, (0, -size % _GROUP), value=_LOWEST)
    maxima = groups.view(len(scores), -1, _GROUP).amax(dim=2)  # (B, G)
    found = _largest(_keys(maxima, torch.arange(maxima.shape[1], device=scores.device)), count)
    steps = torch.arange(_GROUP, device=scores.device)
    columns = (_items(found)[:, :, None] * _GROUP + steps).flatten(1)  # (B, K * _GROUP)
    return _largest(_keys(groups.gather(1, columns), columns + start), count)


def _keys(logits: Tensor, items: Tensor) -> Tensor:
    """One integer for each logit and item: the larger, the better; of equals the smaller index."""
    bits = (logits + 0.0).view(torch.int32)  # adding 0 turns -0.0 into 0.0
    ordered = torch.where(bits < 0, bits ^ _MAGNITUDE, bits).long()
    return (ordered << _INDEX_BITS) | (_INDICES - items)


def _items(keys: Tensor) -> Tensor:
    return _INDICES - (keys & _INDICES)


def _logits(keys: Tensor) -> Tensor:
    ordered = (keys >> _INDEX_BITS).int()
    return torch.where(ordered < 0, ordered ^ _MAGNITUDE, ordered).view(torch.float32)


def _largest(keys: Tensor, count: int) -> Tensor:
    return torch.topk(keys, min(count, keys.shape[1]), dim=1).values
