"""The weight average: its means are those of the definition."""

import pytest
import torch
from torch import nn

from model.training.sequence.weight_average import Average


def test_a_mean_follows_closely_at_first_and_slowly_in_the_end() -> None:
    module = nn.Linear(1, 1)
    nn.init.zeros_(module.weight)
    average = Average(module, decay=0.3)
    expected = 0.0
    for update in range(1, 9):
        nn.init.constant_(module.weight, update)
        average.update()
        kept = min(0.3, (1 + update) / (10 + update))  # 0.3 from the third update on
        expected = kept * expected + (1 - kept) * update

    assert average.updates == 8
    assert average.means["weight"].item() == pytest.approx(expected, rel=1e-6)


def test_the_means_stand_in_only_within_the_block() -> None:
    module = nn.Linear(2, 2)
    average = Average(module, decay=0.5)
    nn.init.ones_(module.weight)
    average.update()
    mean = average.means["weight"].clone()

    with average.in_place():
        assert torch.equal(module.weight, mean)
    assert torch.equal(module.weight, torch.ones(2, 2))
    average.put()
    assert torch.equal(module.weight, mean)


def test_a_restored_average_goes_on_as_the_first() -> None:
    module = nn.Linear(3, 1)
    first = Average(module, decay=0.9)
    nn.init.ones_(module.weight)
    first.update()
    second = Average(nn.Linear(3, 1), decay=0.9)
    second.load(first.weights(), first.state())

    for average in (first, second):
        average.restart({name: p + 1 for name, p in average.weights().items()}, average.means)
        average.update()
    assert torch.equal(first.means["weight"], second.means["weight"])
    assert first.updates == second.updates == 2
