"""Snapshots: codes, changelog and scores of a batch's users are those of the reference."""

from random import Random
from typing import Any

import numpy as np
import pytest

from model import native
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.features import flatten
from model.scorer import ModelInfo, Score
from model.sequence import Sequence
from stream.kafka.producer import NO_HEADERS
from stream.pipeline.encoding import AsOf, ScoreEncoder
from stream.user_state import Rules, UserState
from tests.native.batches import TIMESTAMP_MS, Aiokafka
from tests.native.folds import Native, Reference
from tests.native.random_events import random_message, random_rules
from tests.stream.fakes import NOW_MS, FakeMessage, click, forget

core = pytest.importorskip("lately_native", reason="needs the native core: make native")

RULES = Rules(8, 64, 10**6, 10**7, 10**9)
LIMIT = 2_000


def folded(messages: list[FakeMessage]) -> tuple[Any, dict[bytes, UserState]]:
    """A snapshot of all users behind these messages, and their states."""
    reference, ours = Reference(RULES), Native(RULES)
    assert ours.fold(messages) == reference.fold(messages)
    return ours.users.take(len(reference.states)), reference.states


def random_users(seed: int) -> tuple[Any, dict[bytes, UserState]]:
    random = Random(seed)
    messages = [random_message(random, offset) for offset in range(60)]
    return folded([*messages, forget("ü", offset=60)])


@pytest.mark.parametrize("seed", range(5))
def test_a_snapshot_has_the_values_and_sequences_of_the_states(seed: int) -> None:
    snapshot, states = random_users(seed)
    scored = {key: state for key, state in states.items() if not state.forgotten}
    forgotten = {key: state.applied_offset for key, state in states.items() if state.forgotten}

    assert dict(snapshot.changes()) == {key: state.to_bytes() for key, state in states.items()}
    assert dict(snapshot.forgotten()) == forgotten
    assert [Sequence._make(fields) for fields in snapshot.sequences()] == [
        scored[key].sequence() for key, _ in snapshot.changes() if key in scored
    ]


@pytest.mark.parametrize("known_from", [0, 30, None], ids=["start", "middle", "never"])
@pytest.mark.parametrize("max_length", [1, 4, 50])
@pytest.mark.parametrize("seed", range(5))
def test_sequences_are_encoded_as_the_model_is_trained(
    seed: int, max_length: int, known_from: int | None
) -> None:
    items, actions = ["i1", "ä🛒", "i7"], ("click", "buy")  # no cart
    zeros = np.zeros(len(items), dtype=np.int64)
    catalogue = Catalogue(items, ["c"], zeros, zeros)
    config = ArtifactConfig(actions=actions, intents=("buy",), max_length=max_length)
    vocabulary = native.core.Vocabulary(
        items, list(actions), list(config.gap_bounds_ms), max_length
    )

    random, rules = Random(seed), random_rules(Random(seed))
    ours, reference = Native(rules), Reference(rules)
    messages = [random_message(random, offset) for offset in range(60)]
    messages[40:40] = [forget("u1", offset=39)]
    for at, message in enumerate(messages):
        if at == known_from:
            ours.users.know(vocabulary)
        assert ours.fold([message]) == reference.fold([message])
    states = reference.states

    snapshot = ours.users.take(len(states))
    columns = [np.frombuffer(column, np.int32) for column in vocabulary.encode(snapshot)]

    taken = [states[key] for key, _ in snapshot.changes()]
    sequences = [state.sequence() for state in taken if not state.forgotten]
    ragged = flatten(sequences, catalogue, config)
    assert [column.tolist() for column in columns] == [column.tolist() for column in ragged]


def test_a_user_without_actions_has_the_hour_alone() -> None:
    late = click(offset=1, ts=NOW_MS - 10**8)  # older than the lateness allows
    snapshot, _ = folded([click(offset=0), late, forget(offset=2), click("u2", offset=3)])
    vocabulary = native.core.Vocabulary(["i3"], ["click"], [1000], 50)

    items, _, _, lengths, hours = (
        np.frombuffer(column, np.int32).tolist() for column in vocabulary.encode(snapshot)
    )

    assert (items, lengths) == ([2], [1])  # u2's; u1 is forgotten
    assert hours == [NOW_MS // 3_600_000 % 168 + 72 - 168 * (NOW_MS // 3_600_000 % 168 >= 96)]


@pytest.mark.parametrize("seed", range(3))
def test_the_changelog_gets_the_values_in_batches(seed: int) -> None:
    snapshot, states = random_users(seed)

    batches = snapshot.changelog(LIMIT, TIMESTAMP_MS)

    changes = [(key, states[key].to_bytes(), NO_HEADERS) for key, _ in snapshot.changes()]
    expected = [bytes(batch._build()) for batch in Aiokafka.build(changes, LIMIT)]
    assert [batch._build() for batch in batches] == expected


@pytest.mark.parametrize("seed", range(3))
def test_the_scores_of_a_snapshot_are_those_of_the_encoder(seed: int) -> None:
    snapshot, states = random_users(seed)
    encoder = ScoreEncoder("events", ModelInfo("m", "v", "cpu", 1800))
    writer = native.core.ScoreWriter("events", "m", "v", b"v", 1800)
    taken = [(key, states[key]) for key, _ in snapshot.changes()]
    present = [(key, state) for key, state in taken if not state.forgotten]
    scores = [Score([(f"i{n}", 0.5)], [], {}, "full") for n in range(len(present))]

    predictions = [encoder.prediction(score) for score in scores]
    batches = snapshot.scores(writer, 3, predictions, TIMESTAMP_MS, NO_HEADERS, LIMIT)

    records = []
    for (key, state), score in zip(present, scores, strict=True):
        as_of = AsOf(3, state.applied_offset, state.sequence().now_ms)
        value = encoder.encode(
            key, as_of, encoder.prediction(score), TIMESTAMP_MS, len(state.items)
        )
        records.append((key, value, NO_HEADERS))
    expected = [bytes(batch._build()) for batch in Aiokafka.build(records, LIMIT)]
    assert [batch._build() for batch in batches] == expected


def test_a_prediction_too_few_or_too_many_is_refused() -> None:
    snapshot, states = folded([click("u1", offset=0), click("u2", offset=1)])
    writer = native.core.ScoreWriter("events", "m", "v", b"v", 1800)

    for predictions in ([b"{}"], [b"{}"] * 3):
        with pytest.raises(ValueError, match="a prediction each is needed"):
            snapshot.scores(writer, 0, predictions, TIMESTAMP_MS, NO_HEADERS, LIMIT)
    assert len(states) == 2


def test_a_snapshot_stays_as_it_is_when_its_users_go_on() -> None:
    ours = Native(RULES)
    before = ours.fold([click(offset=0)]).values[b"u1"]
    snapshot = ours.users.take(1)

    after = ours.fold([click(offset=1)]).values[b"u1"]

    assert snapshot.changes() == [(b"u1", before)]
    assert after != before
