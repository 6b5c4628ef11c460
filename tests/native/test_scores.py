"""Scores and predictions: the native core writes the bytes that the reference writes."""

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import native
from model.artifact.calibration import Calibration
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.outputs import Outputs
from model.rounding import round_probabilities
from model.scorer import ModelInfo, Score
from model.serving.answering.answers import Answers
from stream.pipeline.encoding import AsOf, ScoreEncoder
from stream.pipeline.shedding import Level
from tests.native.batches import Native

core = pytest.importorskip("lately_native", reason="needs the native core: make native")

SCORED_AT_MS = 1_790_000_000_123
HORIZON_S = 1800
PREDICTION = Score([("i9", 0.31)], [], {"buy": 0.04}, "full")

texts = st.text(st.characters(codec="utf-8"), max_size=12)
offsets = st.integers(0, 2**62)
times_ms = st.integers(100_000_000_000, 253_402_300_799_999)
rows = st.lists(st.tuples(texts.filter(len), offsets, times_ms, st.integers(0, 1000)), max_size=4)


@settings(deadline=None)
@given(texts, texts, texts, st.sampled_from(["full", "degraded"]), rows)
def test_scores_are_written_alike(
    topic: str, name: str, version: str, level: Level, rows: list[tuple[str, int, int, int]]
) -> None:
    model = ModelInfo(name, version, "cpu", HORIZON_S)
    encoder = ScoreEncoder(topic, model, level)
    prediction = encoder.prediction(PREDICTION)
    writer = native.core.ScoreWriter(topic, name, version, encoder.source, HORIZON_S)

    batches = writer.batches(
        3,
        [(user.encode(), offset, ts, n, prediction) for user, offset, ts, n in rows],
        SCORED_AT_MS,
        [("lately.group", b"g")],
        1_000_000,
    )

    written = [record for batch in batches for record in Native.read(bytes(batch._build())).records]
    expected = [
        encoder.encode(user.encode(), AsOf(3, offset, ts), prediction, SCORED_AT_MS, n)
        for user, offset, ts, n in rows
    ]
    assert [value for _, _, _, value, _ in written] == expected
    assert [key for _, _, key, _, _ in written] == [user.encode() for user, *_ in rows]
    assert all(
        (timestamp_ms, headers) == (SCORED_AT_MS, (("lately.group", b"g"),))
        for _, timestamp_ms, _, _, headers in written
    )


# --- predictions ----------------------------------------------------------------------------------

ITEMS = [f'it"em-{i}\n' if i % 7 == 0 else f"ï-{i}" for i in range(300)]
CATEGORIES = [f"c{i}" for i in range(37)]
EDGES = (0.0, 1.0, 0.9999999, 1e-18, 9.999999e-5, 1e-17, 1e-6, 0.5)


def model_of(top_categories: int) -> tuple[Answers, "native.core.PredictionWriter", Calibration]:
    zeros, ones = np.zeros(len(ITEMS), dtype=np.int64), np.ones(len(ITEMS), dtype=np.int64)
    catalogue = Catalogue(ITEMS, CATEGORIES, zeros, ones)
    config = ArtifactConfig(top_categories=top_categories)
    calibration = Calibration(config.intents, (1.3, 0.7), (0.1, -4.0), (0.1, 0.05))
    writer = native.core.PredictionWriter(
        ITEMS, CATEGORIES, list(config.intents), HORIZON_S, top_categories
    )
    return Answers(catalogue, calibration, config), writer, calibration


def random_outputs(seed: int, rows: int = 20, items: int = 20) -> Outputs:
    random = np.random.default_rng(seed)
    power = float(random.choice([1, 3, 10, 30]))
    shares = random.random((rows, items)) ** power
    shares[0, : len(EDGES)] = EDGES
    parts = random.random((rows, len(CATEGORIES))) ** min(power, 10)
    parts[1] = np.round(parts[1], 1)  # ties
    return Outputs(
        random.integers(0, len(ITEMS), (rows, items)),
        shares.astype(np.float32),
        parts.astype(np.float32),
        random.normal(size=(rows, 2)).astype(np.float32) * 5,
    )


@pytest.mark.parametrize("top_categories", [1, 5, 37, 40])
@pytest.mark.parametrize("seed", range(8))
def test_predictions_are_written_alike_from_the_arrays(seed: int, top_categories: int) -> None:
    answers, writer, calibration = model_of(top_categories)
    outputs = random_outputs(seed)
    encoder = ScoreEncoder("events", ModelInfo("m", "v", "cpu", HORIZON_S))

    written = writer.write(
        outputs.top_items,
        outputs.top_probs,
        outputs.category_probs,
        calibration.apply(outputs.intent_logits),
    )

    expected = [encoder.prediction(score) for score in answers.full(outputs)]
    assert [written[row] for row in range(len(written))] == expected


@settings(deadline=None, max_examples=500)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_every_probability_is_rounded_and_printed_alike(values: list[float]) -> None:
    intents = [f"a{i}" for i in range(len(values))]
    writer = native.core.PredictionWriter([], [], intents, HORIZON_S, 0)
    none, nothing = np.empty((1, 0), dtype=np.int64), np.empty((1, 0), dtype=np.float32)

    written = writer.write(none, nothing, nothing, np.array([values]))[0]

    rounded = dict(zip(intents, round_probabilities(values).tolist(), strict=True))
    expected = orjson.dumps({"intent": {**rounded, "horizon_s": HORIZON_S}})[1:-1]
    assert expected in written


@pytest.mark.parametrize("wrong", [np.nan, -1e-6, 1.0001])
def test_what_is_no_probability_is_refused(wrong: float) -> None:
    _, writer, _ = model_of(5)
    outputs = random_outputs(0)
    outputs.top_probs[3, 3] = wrong

    with pytest.raises(ValueError, match="not the outputs of this model"):
        writer.write(*outputs[:3], np.full((20, 2), 0.5))


def test_an_item_that_the_model_lacks_is_refused() -> None:
    _, writer, _ = model_of(5)
    outputs = random_outputs(0)
    outputs.top_items[0, 0] = len(ITEMS)

    with pytest.raises(ValueError, match="not the outputs of this model"):
        writer.write(*outputs[:3], np.full((20, 2), 0.5))


def test_a_score_takes_no_more_than_its_batch() -> None:
    writer = native.core.ScoreWriter("events", "m", "v", b"v", HORIZON_S)
    row = (b"u1", 0, SCORED_AT_MS, 1, b'"quality":"cold"')

    batches = writer.batches(0, [row, row], SCORED_AT_MS, [], 300)

    assert [batch.record_count() for batch in batches] == [1, 1]
