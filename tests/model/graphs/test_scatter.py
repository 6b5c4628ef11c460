"""Scatter-add: the same order of addition on every device."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from model.graphs.scatter import add_at, add_in_order

ROWS, SUMS = 3, 7


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 4))
def test_adding_in_order_gives_the_bits_of_scatter_add(seed: int, steps: int, others: int) -> None:
    # Float addition is not associative, so equal bits mean the same order.
    draw = torch.Generator().manual_seed(seed)
    sums = torch.rand(ROWS, SUMS, generator=draw)
    places = torch.stack(
        [
            torch.stack([torch.randperm(SUMS, generator=draw)[:others] for _ in range(steps)])
            for _ in range(ROWS)
        ]
    )
    values = torch.rand(places.shape, generator=draw)
    before = sums.clone()

    assert torch.equal(add_in_order(sums, places, values), add_at(sums, places, values))
    assert torch.equal(
        add_in_order(sums, places[..., 0], values[..., 0]),
        add_at(sums, places[..., 0], values[..., 0]),
    )
    assert torch.equal(sums, before)


def test_values_at_a_repeated_index_are_summed() -> None:
    sums = add_in_order(
        torch.zeros(1, 3), torch.tensor([[1, 1, 2]]), torch.tensor([[1.0, 2.0, 4.0]])
    )

    assert sums.tolist() == [[0.0, 3.0, 4.0]]
