"""The recurrent networks: no position sees later actions, and serving matches torch."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from torch import nn
from transformers import AutoModel
from typer.testing import CliRunner

from model.artifact.artifact import Artifact
from model.cli import commands
from model.features import Padded, flatten, pad
from model.networks.recurrent import GruModel, LstmModel
from model.networks.sequence import SequenceModel
from model.outputs import Outputs
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer
from model.synthetic.shop import Shop
from stream.commands.read_sequence import read_sequence

pytestmark = pytest.mark.timeout(400)  # libraries to load and models to export, one core shared

ITEMS = 30
KINDS: dict[str, Any] = {"gru": GruModel, "lstm": LstmModel}


@pytest.fixture(params=KINDS)
def network(request: pytest.FixtureRequest) -> SequenceModel:
    """Two layers of random weights, so that every term is nonzero and matters."""
    torch.manual_seed(1)
    network_type = KINDS[request.param]
    sizes = {"items": ITEMS, "categories": 5, "companions": 3, "width": 16, "max_length": 16}
    network: SequenceModel = network_type(network_type.config_class(**sizes, blocks=2))
    nn.Module.eval(network)
    for weights in network.parameters():
        weights.data.add_(0.1 * torch.randn_like(weights))
    return network


def windows(lengths: list[int], width: int) -> list[torch.Tensor]:
    """Items, actions, gaps (B, L) and lengths (B,) of random actions, padded with 0."""
    draw = torch.Generator().manual_seed(2)
    real = torch.arange(width) < torch.tensor(lengths)[:, None]
    tops = (ITEMS + 2, 4, 24)
    codes = [torch.randint(1, top, real.shape, generator=draw) * real for top in tops]
    return [column.int() for column in (*codes, torch.tensor(lengths))]


@torch.no_grad()
def test_no_position_sees_later_actions(network: SequenceModel) -> None:
    items, actions, gaps, _ = windows([8], 8)
    before = network.look(items, actions, gaps, network.item_vectors(items.long()))
    items[:, 5:] = items[:, 5:] % 3 + 1
    actions[:, 5:] = actions[:, 5:] % 3 + 1
    gaps[:, 4:] = 7  # from position 4 to 5: known only at 5

    after = network.look(items, actions, gaps, network.item_vectors(items.long()))

    assert torch.equal(before.states[:, :5], after.states[:, :5])
    assert torch.equal(before.copies[:, :5], after.copies[:, :5])
    assert not torch.equal(before.states[:, 5], after.states[:, 5])


@torch.no_grad()
def test_every_earlier_action_changes_the_state(network: SequenceModel) -> None:
    items, actions, gaps, _ = windows([8], 8)
    whole = network.look(items, actions, gaps, network.item_vectors(items.long())).states[:, 7]
    for place in range(8):
        other = items.clone()
        other[:, place] = items[:, place] % ITEMS + 2
        seen = network.look(other, actions, gaps, network.item_vectors(other.long())).states[:, 7]
        assert not torch.equal(whole, seen), place


@torch.no_grad()
def test_the_newest_position_alone_gives_the_same_as_all_positions(
    network: SequenceModel,
) -> None:
    items, actions, gaps, lengths = windows([1, 3, 16, 7], 16)
    newest = lengths.long()[:, None] - 1
    vectors = network.item_vectors(items.long())
    every = network.look(items, actions, gaps, vectors)
    one = network.look(items, actions, gaps, vectors, newest)

    rows = torch.arange(4)
    assert torch.allclose(one.states[:, 0], every.states[rows, newest[:, 0]], atol=1e-6)
    assert torch.allclose(one.copies[:, 0], every.copies[rows, newest[:, 0]], atol=1e-5)


@torch.no_grad()
def test_more_padding_changes_only_rounding(network: SequenceModel) -> None:
    *codes, lengths = windows([3, 4], 4)
    wide = [nn.functional.pad(column, (0, 8)) for column in codes]

    for here, there in zip(network(*codes, lengths), network(*wide, lengths), strict=True):
        assert torch.allclose(here, there, atol=1e-6)


@torch.no_grad()
def test_saving_and_loading_keeps_every_bit(network: SequenceModel, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)
    loaded = AutoModel.from_pretrained(tmp_path).eval()

    assert type(loaded) is type(network)
    batch = windows([5, 8], 8)
    for ours, theirs in zip(network(*batch), loaded(*batch), strict=True):
        assert torch.equal(ours, theirs)


@pytest.fixture(scope="module", params=KINDS)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Trained by the command on a small log; the export itself compares with torch, to 1e-5."""
    folder = tmp_path_factory.mktemp(request.param)
    log = folder / "events.jsonl"
    events = itertools.islice(Shop(4, 60, 6).events(40, 1_790_000_000_000), 600)
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    app = typer.Typer(pretty_exceptions_enable=False)
    commands(app, read_sequence)
    words = ["train", log, "--out", folder / "model", "--network", request.param]
    words += ["--epochs", "1", "--dim", "16", "--no-refit"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    artifact = Artifact.open(folder / "model")
    assert artifact.config.network == request.param
    return artifact


def test_onnx_runtime_and_torch_give_the_same_scores(trained: Artifact) -> None:
    scorer = OnnxScorer(trained)
    batch = scorer.sample(40)
    together = scorer.score(batch)

    assert together == [scorer.score([sequence])[0] for sequence in batch]
    for ours, theirs in zip(together, TorchScorer(trained).score(batch), strict=True):
        assert [p for _, p in ours.items] == pytest.approx([p for _, p in theirs.items], abs=1e-5)
        assert ours.intent == pytest.approx(theirs.intent, abs=1e-5)


def test_batch_and_padding_do_not_change_a_bit(trained: Artifact) -> None:
    """Compared before rounding, which would hide most differences."""
    scorer, config = OnnxScorer(trained), trained.config
    ragged = flatten(scorer.sample(200), scorer.catalogue, config)
    for width in range(4, config.padded_length + 1, 4):
        rows = np.flatnonzero((ragged.lengths > width - 4) & (ragged.lengths <= width))
        if rows.size:
            narrow = pad(ragged, rows)
            together = scorer._run(narrow)
            alone = [scorer._run(Padded(*(c[r : r + 1] for c in narrow))) for r in range(len(rows))]
            wide = scorer._run(widened(narrow, config.padded_length))
            for name in Outputs._fields:
                said = getattr(together, name)
                assert np.array_equal(said, np.concatenate([getattr(a, name) for a in alone]))
                assert np.array_equal(said, getattr(wide, name)), f"{name} of {width}"


def widened(padded: Padded, width: int) -> Padded:
    spare = [(0, 0), (0, width - padded.items.shape[1])]
    items, actions, gaps = (np.pad(codes, spare) for codes in padded[:3])
    return padded._replace(items=items, actions=actions, gaps=gaps)
