"""Scatter-add with repeated indices, in the same order of addition on every device."""

from torch import Tensor


def add_at(sums: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Add values (B, N) or (B, N, M) to ``sums`` (B, V) at indices of the same shape.

    An index may repeat along N; along M it may repeat only with a value of 0.
    """
    if sums.is_cuda:
        return add_in_order(sums, indices, values)
    return sums.scatter_add(1, indices.flatten(1), values.flatten(1))


def add_in_order(sums: Tensor, indices: Tensor, values: Tensor) -> Tensor:
    """Add with the bits of ``scatter_add`` on a CPU, which goes along N and M in order.

    On a GPU ``scatter_add`` adds to a repeated index in any order, so the last bit changes from
    one call to the next. Within one step along N no index repeats with a value other than 0.
    """
    sums = sums.clone()
    for step in range(indices.shape[1]):
        at, added = indices[:, step], values[:, step]
        sums.scatter_add_(1, at.reshape(len(at), -1), added.reshape(len(added), -1))
    return sums
