"""A score is the JSON of its schema, under an id that says what it was made of."""

import hashlib
import json
from importlib.resources import files
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from model.scorer import ModelInfo, Score
from stream.pipeline.encoding import AsOf, ScoreEncoder
from stream.pipeline.shedding import Level
from tests.stream.fakes import NOW_MS

TEXT = files("stream").joinpath("schemas/score.schema.json").read_text(encoding="utf-8")
SCORE_SCHEMA = Draft202012Validator(json.loads(TEXT))
MODEL = ModelInfo("shop", "0a1b2c3d4e5f", "cpu", horizon_s=1800)
ENCODER = ScoreEncoder("lately.events", MODEL)
SCORE = Score([("i9", 0.31), ("i2", 0.1)], [("shoes", 0.62)], {"cart": 0.12, "buy": 0.04}, "full")


def encode(user: str = "u1", score: Score = SCORE, as_of: AsOf | None = None) -> dict[str, Any]:
    as_of = as_of or AsOf(3, 4711, NOW_MS)
    decoded: dict[str, Any] = json.loads(
        ENCODER.encode(user.encode(), as_of, ENCODER.prediction(score), NOW_MS + 123, 17)
    )
    return decoded


def test_a_score_is_the_json_of_the_contract() -> None:
    assert encode() == {
        "score_id": hashlib.blake2b(b"u1\x004711\x000a1b2c3d4e5f", digest_size=16).hexdigest(),
        "user_id": "u1",
        "as_of": {"topic": "lately.events", "partition": 3, "offset": 4711, "ts": NOW_MS},
        "scored_at": NOW_MS + 123,
        "valid_until": NOW_MS + 1800 * 1000,
        "model": {"name": "shop", "version": "0a1b2c3d4e5f"},
        "items": [{"item_id": "i9", "score": 0.31}, {"item_id": "i2", "score": 0.1}],
        "categories": [{"category": "shoes", "score": 0.62}],
        "intent": {"cart": 0.12, "buy": 0.04, "horizon_s": 1800},
        "n_events": 17,
        "quality": "full",
    }


def test_a_vector_stands_in_the_score_only_when_there_is_one() -> None:
    decoded = encode(score=SCORE._replace(vector=[0.25, -1.5]))

    SCORE_SCHEMA.validate(decoded)
    assert decoded == encode() | {"vector": [0.25, -1.5]}


odd_text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
probability = st.floats(0, 1)


@settings(deadline=None)
@given(
    user=odd_text | st.sampled_from(['"', "\\", "\0", "😀", "\u2028", "%s%d", "}", "x" * 256]),
    items=st.lists(st.tuples(odd_text, probability), max_size=3),
    categories=st.lists(st.tuples(odd_text, probability), max_size=3),
    intent=st.dictionaries(st.sampled_from(["cart", "buy", 'a"b']), probability),
    quality=st.sampled_from(["full", "cold", "degraded"]),
    offset=st.integers(0, 2**63 - 1),
)
def test_whatever_the_names_a_score_fits_its_schema_and_says_who_it_is_for(
    user: str,
    items: list[tuple[str, float]],
    categories: list[tuple[str, float]],
    intent: dict[str, float],
    quality: Any,
    offset: int,
) -> None:
    score = Score(items, categories, intent, quality)

    decoded = encode(user, score, AsOf(0, offset, NOW_MS))

    SCORE_SCHEMA.validate(decoded)
    assert decoded["user_id"] == user
    assert [(row["item_id"], row["score"]) for row in decoded["items"]] == items


def test_the_same_score_sent_again_has_the_same_id_and_another_event_or_model_another() -> None:
    other_model = ScoreEncoder("lately.events", MODEL._replace(version="ffffffffffff"))

    ids = [
        ENCODER.score_id(b"u1", 1),
        ENCODER.score_id(b"u1", 2),
        ENCODER.score_id(b"u2", 1),
        other_model.score_id(b"u1", 1),
    ]

    assert ENCODER.score_id(b"u1", 1) == ids[0]
    assert len(set(ids)) == 4


def test_answers_of_each_step_of_shedding_have_ids_of_their_own() -> None:
    levels: tuple[Level, ...] = ("full", "short", "cold")
    ids = {ScoreEncoder("lately.events", MODEL, level).score_id(b"u1", 1) for level in levels}

    assert len(ids) == 3  # equal ids, equal answers
    assert ENCODER.score_id(b"u1", 1) in ids


def test_a_user_named_like_the_separator_does_not_take_anothers_id() -> None:
    assert ENCODER.score_id(b"u1\x001", 1) != ENCODER.score_id(b"u1", 1)


def test_what_is_said_of_the_visit_is_published_only_where_a_network_says_it() -> None:
    visit = {
        "stages": {"browsing": 0.6, "comparing": 0.2, "deciding": 0.1, "leaving": 0.1},
        "next": {"click/same item": 0.3},
        "ends": 0.2,
        "unusual": 0.97,
    }
    decoded = encode(score=SCORE._replace(path=visit))

    SCORE_SCHEMA.validate(decoded)
    assert decoded.pop("visit") == visit
    assert decoded == encode()


def test_one_answer_shared_by_two_users_is_right_for_each() -> None:
    cold = Score([], [], {}, "cold")

    answers = [encode(user, score)["quality"] for user, score in (("a", cold), ("b", cold))]

    assert answers == ["cold", "cold"]
    assert encode("c", SCORE)["quality"] == "full"
    assert encode("d", cold)["quality"] == "cold"
