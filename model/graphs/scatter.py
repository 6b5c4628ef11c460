"""Adding at places of a row that may meet, in one order on every device."""

from torch import Tensor


def add_at(sums: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """``sums`` (B, V) with values (B, N) or (B, N, M) added at places of the same shape.

    Along N a place may come again; along M it may only with a value of 0.
    """
    if sums.is_cuda:
        return add_in_order(sums, places, values)
    return sums.scatter_add(1, places.flatten(1), values.flatten(1))


def add_in_order(sums: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """The bits of ``scatter_add`` on a CPU, which goes along N and M one after another.

    On a GPU it adds what meets in a place in any order, so that the last bit changes from one call
    to the next. One step along N has but one value for a place.
    """
    sums = sums.clone()
    for step in range(places.shape[1]):
        at, what = places[:, step], values[:, step]
        sums.scatter_add_(1, at.reshape(len(at), -1), what.reshape(len(what), -1))
    return sums
