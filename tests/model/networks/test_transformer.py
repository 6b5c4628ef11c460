import math
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from model.networks.experts import Copy, Rules, join, support_of
from model.networks.positions import occurrences
from model.networks.sequence import States
from model.networks.transformer import TransformerConfig, TransformerModel

N_ITEMS = 30
N_CATEGORIES = 5


class Window(NamedTuple):
    items: Tensor
    actions: Tensor
    gaps: Tensor
    lengths: Tensor


def network(blocks: int = 1) -> TransformerModel:
    torch.manual_seed(1)
    config = TransformerConfig(
        items=N_ITEMS,
        categories=N_CATEGORIES,
        attributes=3,
        attributes_each=2,
        text_width=6,
        companions=3,
        width=16,
        max_length=16,
        blocks=blocks,
    )
    model = TransformerModel(config)
    model.train(False)
    model.item_category[2:] = torch.arange(N_ITEMS) % (N_CATEGORIES + 1)
    model.item_attributes[2:] = torch.stack(
        [torch.arange(N_ITEMS) % 4, torch.arange(N_ITEMS) % 3], 1
    )
    model.texts[2:] = torch.randn(N_ITEMS, 6).half()
    model.companions[2:] = 2 + (torch.arange(N_ITEMS)[:, None] + torch.arange(1, 4)) % N_ITEMS
    model.shares[:, 2:] = torch.tensor([0.5, 0.25, 0.125]).half()
    model.support[:, 2:] = torch.arange(N_ITEMS) % 15
    model.balance.copy_(0.1 * torch.randn_like(model.balance))
    for parameter in model.parameters():  # so that every term is nonzero and matters
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    return model


def window(lengths: list[int], padded: int) -> Window:
    generator = torch.Generator().manual_seed(2)
    shape = (len(lengths), padded)
    items = torch.randint(1, N_ITEMS + 2, shape, generator=generator, dtype=torch.int32)
    actions = torch.randint(1, 4, shape, generator=generator, dtype=torch.int32)
    gaps = torch.randint(1, 24, shape, generator=generator, dtype=torch.int32)
    padding = torch.arange(padded) >= torch.tensor(lengths)[:, None]
    for codes in (items, actions, gaps):
        codes[padding] = 0
    return Window(items, actions, gaps, torch.tensor(lengths, dtype=torch.int32))


def look(model: TransformerModel, batch: Window) -> States:
    return model.look(*batch[:3], model.item_vectors(batch.items.long()))


@pytest.mark.parametrize("blocks", [1, 2])
@torch.no_grad()
def test_the_last_position_alone_gives_the_same_as_all_positions(blocks: int) -> None:
    model, batch = network(blocks), window([1, 3, 8, 16, 7], 16)
    probabilities, categories, intents = model(*batch)

    states, copies, rules = look(model, batch)
    rows, newest = torch.arange(5), batch.lengths.long() - 1
    state = states[rows, newest]
    table = model.item_vectors()
    chances = model.chances(state, copies[rows, newest], rules[rows, :, newest], batch.items, table)

    assert torch.allclose(probabilities, chances, atol=1e-6)
    assert torch.allclose(categories, model.category(state), atol=1e-5)
    assert torch.allclose(intents, model.intent(state), atol=1e-5)


@torch.no_grad()
def test_catalogue_probabilities_sum_to_one() -> None:
    probabilities, _, _ = network()(*window([1, 9, 16], 16))

    assert probabilities.shape == (3, N_ITEMS)
    assert probabilities.sum(1).tolist() == pytest.approx([1, 1, 1])


@torch.no_grad()
def test_no_position_sees_later_actions() -> None:
    model, batch = network(blocks=2), window([8], 8)
    before = look(model, batch)
    for codes in batch[:2]:
        codes[:, 5:] = codes[:, 5:] % 3 + 1
    batch.gaps[:, 4:] = 7  # the gap from position 4 to 5 is known only at 5

    after = look(model, batch)

    assert torch.equal(before.states[:, :5], after.states[:, :5])
    assert torch.equal(before.copies[:, :5], after.copies[:, :5])
    assert torch.equal(before.rules[:, :, :5], after.rules[:, :, :5])
    assert not torch.equal(before.states[:, 5], after.states[:, 5])


@torch.no_grad()
def test_more_padding_changes_only_rounding() -> None:
    model = network()
    short = model(*window([3, 4], 4))
    items, actions, gaps, lengths = window([3, 4], 4)
    wide = [torch.nn.functional.pad(codes, (0, 8)) for codes in (items, actions, gaps)]

    for here, there in zip(short, model(*wide, lengths), strict=True):
        assert torch.allclose(here, there, atol=1e-6)


@torch.no_grad()
def test_an_empty_sequence_gets_a_finite_answer() -> None:
    for answer in network()(*window([0], 4)):
        assert answer.isfinite().all()


@torch.no_grad()
def test_frozen_vectors_give_the_same_answer() -> None:
    model, batch = network(), window([2, 4], 4)

    for fresh, frozen in zip(model(*batch), model(*batch, model.item_vectors()), strict=True):
        assert torch.equal(fresh, frozen)


@torch.no_grad()
def test_saving_and_loading_keeps_every_bit_and_the_tied_weights(tmp_path: Path) -> None:
    model, batch = network(), window([5, 8], 8)
    model.save_pretrained(tmp_path)

    loaded = AutoModel.from_pretrained(tmp_path).eval()

    assert isinstance(loaded, TransformerModel)
    assert loaded.out.weight is loaded.item.weight
    assert not list(tmp_path.glob("*.bin"))  # no pickle
    for ours, theirs in zip(model(*batch), loaded(*batch), strict=True):
        assert torch.equal(ours, theirs)


def test_the_configuration_is_found_by_its_name(tmp_path: Path) -> None:
    TransformerConfig(items=7, width=12, dropout=0.1).save_pretrained(tmp_path)

    config = AutoConfig.from_pretrained(tmp_path)

    assert isinstance(config, TransformerConfig)
    assert (config.items, config.width, config.dropout) == (7, 12, 0.1)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="width is 10, expected a multiple of the 4 heads"):
        TransformerConfig(width=10, heads=4)


def test_join_adds_the_copies_of_an_item_to_its_own_score() -> None:
    scores = torch.tensor([[math.log(1), math.log(2), math.log(3)]])
    copies = torch.tensor([[math.log(4), -torch.inf, math.log(5), math.log(5)]])
    items = torch.tensor([[2, 1, 4, 4]])  # catalogue items 0, unknown, 2, 2
    rules, companions = torch.tensor([[math.log(6)]]), torch.tensor([[3]])

    z = 1 + 2 + 3 + 4 + 5 + 5 + 6
    assert join(scores, (copies, rules), (items, companions)).tolist() == [
        pytest.approx([(1 + 4) / z, (2 + 6) / z, (3 + 5 + 5) / z])
    ]


def test_rules_use_known_past_items_with_support() -> None:
    rules = Rules(width=4, max_length=4, ways=2)
    items = torch.tensor([[5, 1, 6, 0]])  # known, unknown, known, padding
    support = torch.tensor(
        [[[3, 3, 3, 3], [3, 3, 0, 3]]]
    )  # the second way has no counts for the third

    logits = rules(torch.randn(1, 4, 4), items, support)

    both, first = [True, False, True, False], [True, False, False, False]
    assert logits.isfinite().tolist() == [[[first, first, both, both], [first] * 4]]


def test_support_is_bucketed_by_powers_of_two() -> None:
    sums = torch.tensor([0.0, 0.1, 0.5, 1.0, 2.0, 3.9, 4.0, 1e9])

    assert support_of(sums).tolist() == [0, 1, 2, 3, 4, 4, 5, 14]


def test_copy_scores_known_past_items_only() -> None:
    copy = Copy(width=4, max_length=4)
    states, vectors, inputs = torch.randn(3, 1, 4, 4)
    items = torch.tensor([[5, 1, 6, 0]])  # known, unknown, known, padding

    logits = copy(states, vectors, inputs, items)

    assert logits.isfinite().tolist() == [
        [
            [True, False, False, False],
            [True, False, False, False],
            [True, False, True, False],
            [True, False, True, False],
        ]
    ]


def test_copy_depends_on_the_occurrences_so_far() -> None:
    copy = Copy(width=4, max_length=4)
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.zero_()
        copy.occurrences.copy_(torch.arange(9.0))
    zeros = torch.zeros(1, 4, 4)

    logits = copy(zeros, zeros, zeros, torch.tensor([[5, 6, 5, 5]]))

    nothing = -torch.inf
    assert logits[0].tolist() == [
        [1, nothing, nothing, nothing],
        [1, 1, nothing, nothing],
        [2, 1, 2, nothing],
        [3, 1, 3, 3],
    ]


def test_occurrences_count_a_known_item_up_to_each_position() -> None:
    items = torch.tensor([[5, 1, 5, 6, 1, 5, 0]])  # 1 is unknown, 0 padding

    assert occurrences(items).tolist() == [[1, 0, 2, 1, 0, 3, 0]]
