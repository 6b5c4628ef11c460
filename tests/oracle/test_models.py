"""The oracle judges a score by the model that it names, and by what it says it leaves out."""

import json
from typing import Any

import pytest

from model.scorer import Score
from tests.oracle import faithful
from tests.oracle.answers import LEVELS, SHORT_ITEMS, Answers, Level
from tests.oracle.evidence import Evidence
from tests.oracle.faithful import CountingScorer, event, user_of_partition, work
from tests.oracle.hashing import score_id
from tests.oracle.record import Record
from tests.oracle.rules import DEFAULT_RULES
from tests.oracle.value import decode
from tests.oracle.verdict import examine

USER = user_of_partition(0)
NOW = 1_700_000_000_000
SHEDDING = DEFAULT_RULES._replace(sheds=True)


class OtherScorer(CountingScorer):
    """Another model, which is sure of itself."""

    info = CountingScorer.info._replace(name="other", version="ba9876543210", horizon_s=60)

    def score(self, sequences: Any) -> list[Score]:
        return [score._replace(intent={"buy": 1.0}) for score in super().score(sequences)]


class WelcomingScorer(CountingScorer):
    """Names ten items to whoever has one, and one to somebody new."""

    def score(self, sequences: Any) -> list[Score]:
        return [self._one(sequence.items) for sequence in sequences]

    def _one(self, items: tuple[str, ...]) -> Score:
        if not items:
            return Score([("popular", 0.5)], [], {"buy": 0.1}, "cold")
        return Score([(f"i{n}", 0.05) for n in range(10)], [], {"buy": 0.5}, "full")


def run() -> Evidence:
    """Two scores of one user, by the counting model."""
    return work([event(0, n, USER, NOW + n, item_id=f"i{n}") for n in range(2)], merge=1)


def edited(evidence: Evidence, at: int, **fields: Any) -> Evidence:
    scores = list(evidence.scores)
    document = json.loads(scores[at].value or b"") | fields
    scores[at] = scores[at]._replace(value=json.dumps(document).encode())
    return evidence._replace(scores=scores)


def of_other(evidence: Evidence, at: int) -> Evidence:
    """The run, with one score by the other model."""
    document = json.loads(evidence.scores[at].value or b"")
    return edited(
        evidence,
        at,
        score_id=score_id(USER, document["as_of"]["offset"], OtherScorer.info.version),
        model={"name": "other", "version": OtherScorer.info.version},
        valid_until=document["as_of"]["ts"] + 60_000,
        intent={"buy": 1.0, "horizon_s": 60},
    )


def both() -> list[Answers]:
    return [Answers(CountingScorer()), Answers(OtherScorer())]


def test_two_models_may_each_have_said_their_own() -> None:
    assert examine(of_other(run(), 1), both()) == []


def test_a_model_that_never_served_may_not() -> None:
    assert examine(of_other(run(), 1), Answers(CountingScorer())) != []


def test_the_answer_of_one_model_under_the_name_of_the_other_is_found() -> None:
    mixed = edited(of_other(run(), 1), 1, intent={"buy": 0.001, "horizon_s": 60})

    (difference,) = examine(mixed, both())
    assert difference.where.endswith("intent")


def degraded(level: Level) -> Evidence:
    """A run whose last score leaves something out."""
    answers = Answers(WelcomingScorer())
    answer = (
        {"items": [{"item_id": f"i{n}", "score": 0.05} for n in range(SHORT_ITEMS)]}
        if level == "short"
        else {
            "items": [{"item_id": "popular", "score": 0.5}],
            "intent": {"buy": 0.1, "horizon_s": 1800},
        }
    )
    evidence = run()
    scores = [full(answers, evidence, record) for record in evidence.scores]
    name = score_id(USER, 1, answers.info.version, level)
    return edited(evidence._replace(scores=scores), 1, quality="degraded", score_id=name, **answer)


def full(answers: Answers, evidence: Evidence, record: Record) -> Record:
    offset = json.loads(record.value or b"")["as_of"]["offset"]
    state = decode(evidence.changelog[offset].value or b"")
    return record._replace(value=faithful.score(answers, USER, 0, offset, state))


@pytest.mark.parametrize("level", LEVELS)
def test_a_degraded_score_is_right_only_where_somebody_asked_for_it(level: Level) -> None:
    answers = Answers(WelcomingScorer())

    assert examine(degraded(level), answers, SHEDDING) == []
    assert examine(degraded(level), answers) != []


def test_a_degraded_score_under_the_id_of_the_full_one_is_found() -> None:
    named_full = edited(degraded("short"), 1, score_id=score_id(USER, 1, "0123456789ab"))

    assert examine(named_full, Answers(WelcomingScorer()), SHEDDING) != []


def test_a_degraded_score_that_leaves_out_too_much_is_found() -> None:
    nothing = edited(degraded("short"), 1, items=[])

    (difference,) = examine(nothing, Answers(WelcomingScorer()), SHEDDING)
    assert difference.where.endswith("items")
