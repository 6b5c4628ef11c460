"""Determinism: the same input gives the same score in any batch and process."""

import subprocess
import sys
from random import Random

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artifact.artifact import Artifact
from model.features import flatten, pad
from model.outputs import Outputs
from model.scorer import Score
from model.sequence import Sequence
from model.serving.onnx import OnnxScorer
from tests.model.conftest import TINY_CONFIG
from tests.model.strategies import sequences

pytestmark = pytest.mark.timeout(400)  # libraries to load and graphs to export, one core shared


@pytest.fixture(scope="module", params=["tiny_artifact", "small_artifact"])
def scorer(request: pytest.FixtureRequest) -> OnnxScorer:
    artifact: Artifact = request.getfixturevalue(request.param)
    return OnnxScorer(artifact)


def published(scores: list[Score]) -> list[bytes]:
    return [orjson.dumps(tuple(score)) for score in scores]


def in_batches_of(size: int, scorer: OnnxScorer, batch: list[Sequence]) -> list[bytes]:
    parts = (batch[start : start + size] for start in range(0, len(batch), size))
    return [score for part in parts for score in published(scorer.score(part))]


def test_batches_of_1_7_and_64_give_the_same_bytes(scorer: OnnxScorer) -> None:
    log = scorer.sample(256)
    alone = in_batches_of(1, scorer, log)

    assert in_batches_of(7, scorer, log) == alone
    assert in_batches_of(64, scorer, log) == alone
    assert in_batches_of(256, scorer, log) == alone


def test_padding_does_not_change_a_bit(scorer: OnnxScorer) -> None:
    """Compared before rounding, which would hide most differences."""
    config = TINY_CONFIG
    ragged = flatten(scorer.sample(400), scorer.catalogue, config)
    for width in range(4, config.padded_length + 1, 4):
        rows = np.flatnonzero((ragged.lengths > width - 4) & (ragged.lengths <= width))
        narrow = pad(ragged, rows)
        alike = scorer._run(narrow)
        for wider in range(width + 4, config.padded_length + 1, 4):
            spare = [(0, 0), (0, wider - width)]
            items, actions, gaps = (np.pad(codes, spare) for codes in narrow[:3])
            outputs = scorer._run(narrow._replace(items=items, actions=actions, gaps=gaps))
            for name in Outputs._fields:
                same = np.array_equal(getattr(outputs, name), getattr(alike, name))
                assert same, f"{name}, {width} padded to {wider}"


@settings(max_examples=40, deadline=None)
@given(st.lists(sequences(), min_size=1, max_size=12), st.randoms())
def test_a_score_is_the_same_alone_and_in_a_batch(
    scorer: OnnxScorer, batch: list[Sequence], random: Random
) -> None:
    alone = [published(scorer.score([sequence]))[0] for sequence in batch]
    others = scorer.sample(random.randrange(100))
    mixed = [(sequence, place) for place, sequence in enumerate([*batch, *others])]
    random.shuffle(mixed)
    among = published(scorer.score([sequence for sequence, _ in mixed]))

    for (_, place), score in zip(mixed, among, strict=True):
        if place < len(batch):
            assert score == alone[place]


@given(sequences())
@settings(max_examples=20, deadline=None)
def test_only_the_last_fifty_actions_count(scorer: OnnxScorer, sequence: Sequence) -> None:
    items, actions, times_ms, now_ms = sequence[:4]
    newest = Sequence(items[-50:], actions[-50:], times_ms[-50:], now_ms)

    assert published(scorer.score([sequence])) == published(scorer.score([newest]))


def test_another_process_gives_the_same_bytes(scorer: OnnxScorer) -> None:
    program = """
import sys, orjson
from model.artifact.artifact import Artifact
from model.serving.onnx import OnnxScorer
scorer = OnnxScorer(Artifact.open(sys.argv[1]))
sys.stdout.buffer.write(orjson.dumps([*map(tuple, scorer.score(scorer.sample(32)))]))
"""
    command = [sys.executable, "-c", program, str(scorer._artifact.folder)]
    other = subprocess.run(command, check=True, capture_output=True)

    assert other.stdout == orjson.dumps([*map(tuple, scorer.score(scorer.sample(32)))])
