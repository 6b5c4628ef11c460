"""The slabs: the best of a whole catalogue, exactly, without the whole catalogue in memory."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from model.features import FIRST_ITEM
from model.graphs.slabs import Added, Catalogue, best, top

ROWS, COUNT = 3, 5


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)  # cores are shared, and threads that wait for each other take long


def drawn(seed: int, items: int, *, whole: bool) -> tuple[Tensor, Catalogue, Added, Tensor]:
    """Queries, a catalogue, what is added, and the logits of all items; whole numbers tie often."""
    draw = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> Tensor:
        if whole:
            return torch.randint(-2, 3, shape, generator=draw).float()
        return torch.randn(shape, generator=draw)

    queries, vectors, biases = numbers(ROWS, 4), numbers(items, 4), numbers(items)
    codes = torch.randint(1, items + FIRST_ITEM, (ROWS, 9), generator=draw)
    weights = torch.randint(0, 3, (ROWS, 9), generator=draw).float()
    weights[codes < FIRST_ITEM] = 0.0
    highest = numbers(ROWS, 1)
    scores = torch.addmm(biases, queries, vectors.T)
    heaped = torch.zeros(ROWS, items, dtype=torch.float64)
    heaped.scatter_add_(1, (codes - FIRST_ITEM).clamp(min=0), weights.double())
    logits = torch.logaddexp(scores.double(), heaped.log() + highest.double()).float()
    return queries, Catalogue(vectors, biases), Added.of(codes, weights, highest), logits


def in_full(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The best items by a sort of all, of equals the smaller first, and their probabilities."""
    order = torch.sort(logits, dim=1, descending=True, stable=True).indices[:, :count]
    return order, torch.softmax(logits.double(), dim=1).gather(1, order)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(5, 700), st.sampled_from([7, 64, 300, 10**6]))
def test_slabs_give_the_items_of_a_full_sort(seed: int, items: int, slab: int) -> None:
    queries, catalogue, added, logits = drawn(seed, items, whole=True)

    found, probs = best(queries, catalogue, added, COUNT, slab)

    expected, shares = in_full(logits, COUNT)
    assert found.tolist() == expected.tolist()  # whole numbers: no rounding, but many equals
    assert probs.numpy() == pytest.approx(shares.numpy(), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_size_of_a_slab_changes_no_item(seed: int) -> None:
    queries, catalogue, added, _ = drawn(seed, 500, whole=False)

    whole, probs = best(queries, catalogue, added, COUNT, 500)
    for slab in (6, 33, 256):
        found, others = best(queries, catalogue, added, COUNT, slab)
        assert found.tolist() == whole.tolist()
        assert others.numpy() == pytest.approx(probs.numpy(), rel=1e-5)


def test_of_equal_items_the_smaller_index_is_first_across_slabs_and_groups() -> None:
    items = 400
    catalogue = Catalogue(torch.zeros(items, 4), torch.zeros(items))
    nothing = Added.of(torch.tensor([[1, 300]]), torch.zeros(1, 2), torch.zeros(1, 1))

    for slab in (50, 170, 400):
        found, probs = best(torch.ones(1, 4), catalogue, nothing, COUNT, slab)
        assert found.tolist() == [[0, 1, 2, 3, 4]]
        assert probs.tolist() == [pytest.approx([1 / items] * COUNT)]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_bfloat16_changes_nothing_that_it_can_hold(seed: int) -> None:
    queries, exact, added, logits = drawn(seed, 300, whole=True)
    catalogue = exact._replace(rough=exact.vectors.bfloat16())

    found, probs = best(queries, catalogue, added, COUNT, 64)

    expected, shares = in_full(logits, COUNT)
    assert found.tolist() == expected.tolist()
    assert probs.numpy() == pytest.approx(shares.numpy(), rel=1e-6)


def test_the_best_by_bfloat16_are_ordered_by_float32() -> None:
    draw = torch.Generator().manual_seed(1)
    vectors = torch.nn.functional.normalize(torch.randn(2000, 64, generator=draw), dim=1)
    queries = 14 * torch.nn.functional.normalize(torch.randn(32, 64, generator=draw), dim=1)
    codes = torch.randint(2, 2002, (32, 9), generator=draw)
    added = Added.of(codes, torch.ones(32, 9), torch.full((32, 1), 6.0))
    exact = Catalogue(vectors, torch.zeros(2000))

    expected, shares = best(queries, exact, added, 20, 300)
    found, probs = best(queries, exact._replace(rough=vectors.bfloat16()), added, 20, 300)

    assert found.tolist() == expected.tolist()
    assert not torch.equal(probs, shares)  # the rest of Z is rounded
    assert probs.numpy() == pytest.approx(shares.numpy(), rel=2e-3)


def test_an_item_that_only_copies_name_is_found_in_any_slab() -> None:
    biases = torch.zeros(1000)
    added = Added.of(torch.tensor([[FIRST_ITEM + 777]]), torch.ones(1, 1), torch.tensor([[30.0]]))

    found, probs = best(torch.zeros(1, 4), Catalogue(torch.zeros(1000, 4), biases), added, 2, 100)

    assert found.tolist() == [[777, 0]]
    assert probs[0, 0] == pytest.approx(1.0)


def test_weights_of_one_item_add_up_alike_in_any_order() -> None:
    draw = torch.Generator().manual_seed(3)
    codes = torch.randint(2, 6, (1, 400), generator=draw)
    weights = torch.rand(1, 400, generator=draw)
    shuffled = torch.randperm(400, generator=draw)

    one, other = (
        Added.of(codes[:, order], weights[:, order], torch.zeros(1, 1))
        for order in (torch.arange(400), shuffled)
    )

    assert torch.equal(one.total, other.total)
    assert torch.equal(one.weights[one.counts], other.weights[other.counts])
    assert one.items[one.counts].tolist() == [0, 1, 2, 3]
    heaped = torch.zeros(1, 4).double().scatter_add_(1, codes - 2, weights.double())
    assert one.weights[one.counts].tolist() == pytest.approx(heaped[0].tolist(), rel=1e-12)


def test_negative_zero_equals_zero_and_infinity_is_last() -> None:
    columns, values = top(torch.tensor([[-1.0, -0.0, 0.0, float("-inf"), 2.0]]), 5)

    assert columns.tolist() == [[4, 1, 2, 0, 3]]
    assert values.tolist() == [[2.0, 0.0, 0.0, -1.0, float("-inf")]]


class Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the most numbers in one tensor that an operation made."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        for out in made if isinstance(made, (tuple, list)) else [made]:
            views = isinstance(out, Tensor) and out._is_view()
            if isinstance(out, Tensor) and not views:
                self.numbers = max(self.numbers, out.numel())
        return made


def test_no_tensor_grows_with_the_catalogue() -> None:
    items, slab = 200_000, 4096
    catalogue = Catalogue(torch.randn(items, 4), torch.zeros(items))
    added = Added.of(torch.tensor([[5, 9]] * 8), torch.ones(8, 2), torch.zeros(8, 1))

    with Largest() as largest:  # type: ignore[no-untyped-call]
        best(torch.randn(8, 4), catalogue, added, 20, slab)

    assert 8 * slab <= largest.numbers <= 8 * slab * 2 < 8 * items
