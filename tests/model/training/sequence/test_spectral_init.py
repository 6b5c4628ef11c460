"""The spectral initialisation: co-occurring items are close, and every item has a vector."""

import numpy as np
import torch
from torch.nn import functional

from model.data.dataset import Histories
from model.training.sequence.co_occurrence import Counts, count
from model.training.sequence.spectral_init import NOISE, spectral_start

ITEMS, WIDTH = 20, 8
LONER = ITEMS - 1


def together(*visits: list[int]) -> Counts:
    items = np.array([item for visit in visits for item in visit], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(visit) for visit in visits])]).astype(np.int64)
    zeros = np.zeros(len(items), dtype=np.int8)
    return count(Histories(items, zeros, np.arange(len(items), dtype=np.int64), offsets), ITEMS)[0]


def two_shelves() -> Counts:
    """Items 0 to 8 are viewed together, and 9 to 17; 18 with both, 19 alone."""
    draw = np.random.default_rng(4)
    shelves = [np.arange(9), np.arange(9, 18)]
    visits = [[*draw.choice(shelf, 4, replace=False), 18] for shelf in shelves * 60]
    return together(*visits, [LONER])


def test_items_of_one_shelf_are_closer_than_items_of_two() -> None:
    vectors = spectral_start(two_shelves(), WIDTH, seed=0)
    assert vectors is not None
    near = functional.normalize(vectors, dim=1) @ functional.normalize(vectors, dim=1).T

    own = (near[:9, :9].sum() - 9) / (9 * 8)
    assert own > near[:9, 9:18].mean() + 0.3


def test_the_same_seed_gives_the_same_vectors() -> None:
    first, again, other = (spectral_start(two_shelves(), WIDTH, seed) for seed in (1, 1, 2))

    assert first is not None and again is not None and other is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_item_has_a_vector_of_about_unit_length() -> None:
    vectors = spectral_start(two_shelves(), WIDTH, seed=0)

    assert vectors is not None
    lengths = vectors.norm(dim=1)
    assert lengths.min() > (1 - NOISE) / 3  # a random one of eight numbers is not always 1 long
    assert lengths.max() < 3


def test_a_catalogue_may_be_smaller_than_the_width() -> None:
    vectors = spectral_start(two_shelves(), 64, seed=0)

    assert vectors is not None and vectors.shape == (ITEMS, 64)
    assert torch.isfinite(vectors).all()


def test_without_co_occurrences_there_is_no_spectral_start() -> None:
    assert spectral_start(together([3], [4]), WIDTH, seed=0) is None
