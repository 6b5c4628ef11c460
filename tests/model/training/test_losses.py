import math
from math import log

import pytest
import torch

from model.training.losses import Negatives, category_loss, intent_loss, next_item_loss


def test_next_item_loss_normalises_target_negatives_and_copies_together() -> None:
    loss = next_item_loss(
        targets=torch.tensor([log(2)]),
        negatives=torch.tensor([[log(3), log(4)]]),
        hits=torch.tensor([[False, False]]),
        copies=torch.tensor([[log(5), log(6), -torch.inf]]),
        copied=torch.tensor([[True, False, False]]),
    )

    assert loss.item() == pytest.approx(-log((2 + 5) / (2 + 3 + 4 + 5 + 6)))


def test_half_of_the_loss_ignores_the_rules() -> None:
    loss = next_item_loss(
        targets=torch.tensor([log(2)]),
        negatives=torch.tensor([[log(3)]]),
        hits=torch.tensor([[False]]),
        copies=torch.tensor([[-torch.inf]]),
        copied=torch.tensor([[False]]),
        rules=torch.tensor([[log(4), log(8)]]),
        shares=torch.tensor([[0.25, 0.0]]),
    )

    together = -log((2 + 0.25 * 4) / (2 + 3 + 4 + 8))
    assert loss.item() == pytest.approx((together - log(2 / (2 + 3))) / 2)


def test_a_negative_that_is_the_target_counts_once() -> None:
    loss = next_item_loss(
        targets=torch.tensor([log(2)]),
        negatives=torch.tensor([[log(2), log(4)]]),
        hits=torch.tensor([[True, False]]),
        copies=torch.full((1, 1), -torch.inf),
        copied=torch.tensor([[False]]),
    )

    assert loss.item() == pytest.approx(-log(2 / (2 + 4)))


def test_next_item_loss_is_the_mean_over_positions() -> None:
    nothing = torch.full((2, 1), -torch.inf)
    loss = next_item_loss(
        targets=torch.tensor([log(1), log(3)]),
        negatives=torch.tensor([[log(1)], [log(1)]]),
        hits=torch.tensor([[False], [False]]),
        copies=nothing,
        copied=torch.tensor([[False], [False]]),
    )

    assert loss.item() == pytest.approx((-log(1 / 2) - log(3 / 4)) / 2)


def test_a_small_catalogue_is_taken_whole_and_uncorrected() -> None:
    items, correction = Negatives(torch.tensor([5, 0, 1]), draws=2).draw(torch.Generator())

    assert items.tolist() == [0, 1, 2]
    assert correction.tolist() == [0, 0, 0]


def test_a_sample_is_distinct_and_corrected_by_its_probability() -> None:
    counts = torch.tensor([16.0, 1.0, 0.0, 0.0])
    items, correction = Negatives(counts, draws=3, most_in_full=0).draw(
        torch.Generator().manual_seed(1)
    )

    powers = [16**0.75, 1, 0, 0]
    chance = [0.5 / 4 + 0.5 * power / (16**0.75 + 1) for power in powers]
    assert items.tolist() == sorted(set(items.tolist()))
    assert correction.tolist() == pytest.approx(
        [log(1 - (1 - chance[item]) ** 3) for item in items.tolist()], rel=1e-5
    )


def test_the_sampled_normaliser_is_unbiased() -> None:
    generator = torch.Generator().manual_seed(3)
    scores = torch.linspace(-1, 1, 50)
    negatives = Negatives(torch.arange(50), draws=20, most_in_full=0)

    sums = []
    for _ in range(3_000):
        items, correction = negatives.draw(generator)
        sums.append((scores[items] - correction).exp().sum().item())

    assert math.fsum(sums) / len(sums) == pytest.approx(scores.exp().sum().item(), rel=0.01)


def test_items_without_a_category_do_not_count() -> None:
    logits = torch.tensor([[log(1.0), log(3.0)], [9.0, 0.0]])

    assert category_loss(logits, torch.tensor([1, -1])).item() == pytest.approx(-log(3 / 4))
    assert category_loss(logits, torch.tensor([-1, -1])).item() == 0


def test_censored_labels_do_not_count() -> None:
    logits = torch.tensor([[log(3.0), 7.0], [0.0, -7.0]])
    labels = torch.tensor([[1, -1], [0, -1]])

    assert intent_loss(logits, labels).item() == pytest.approx((-log(3 / 4) - log(1 / 2)) / 2)
    assert intent_loss(logits, torch.full((2, 2), -1)).item() == 0
