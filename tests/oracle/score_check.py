"""The score check (O2, O3): every score is the scorer's answer to the fold, the last is out."""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Set
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema

from model.scorer import ModelInfo, Score
from model.sequence import Sequence
from tests.oracle.answers import LEVELS, Answers
from tests.oracle.evidence import Difference, Evidence
from tests.oracle.hashing import score_id
from tests.oracle.ledger import Ledger, Step, User
from tests.oracle.record import Record

TOLERANCE = 1e-5
SCHEMAS = Path(__file__).parents[2] / "stream" / "schemas"
_WORDS = json.loads((SCHEMAS / "score.schema.json").read_text(encoding="utf-8"))
_SCHEMA = jsonschema.Draft202012Validator(_WORDS)

Models = Mapping[str, Answers]  # by version; never empty


def check_scores(
    evidence: Evidence, ledger: Ledger, models: Models, *, may_degrade: bool
) -> Iterator[Difference]:
    """Compare the scores topic with the fold, user by user."""
    records: dict[User, list[Record]] = defaultdict(list)
    for record in evidence.scores:
        key = b"" if record.key is None else record.key
        records[record.partition, key.decode(errors="replace")].append(record)
    for user in records.keys() - ledger.steps.keys():
        found = records[user][-1].value
        yield Difference("O2 scores", _name(user), found, "no score: no valid event there")
    documents = {user: [_parse(r) for r in found] for user, found in records.items()}
    _learn_all(documents, ledger, models)
    expect = _Expectation(evidence, models, may_degrade)
    for user, steps in ledger.steps.items():
        yield from _check_user(
            expect, user, steps, documents.get(user, []), ledger.expired.get(user, set())
        )


def _parse(record: Record) -> Any:
    """The document, None for a null value, or the raw bytes where they are not JSON."""
    try:
        return None if record.value is None else json.loads(record.value)
    except ValueError:
        return record.value


def _answers_for(document: Any, models: Models) -> Answers:
    """Those of the model that the score names; of the first where it names none of them."""
    try:
        return models[document["model"]["version"]]
    except (TypeError, KeyError):
        return next(iter(models.values()))


def _learn_all(documents: dict[User, list[Any]], ledger: Ledger, models: Models) -> None:
    wanted: dict[str, list[Sequence]] = defaultdict(list)
    for user, found in documents.items():
        states = {step.offset: step.state for step in ledger.steps.get(user, [])}
        for document in found:
            state = states.get(_offset(document))
            if state is not None and state.actions:
                version = _answers_for(document, models).info.version
                wanted[version].append(state.sequence())
    for version, sequences in wanted.items():
        models[version].learn(sequences)


class _Expectation(NamedTuple):
    """All it takes to say what a score must be."""

    evidence: Evidence
    models: Models
    may_degrade: bool

    def of(self, user: User, step: Step, document: Any) -> dict[str, Any]:
        """What the document must hold, where that can be foretold."""
        answers = _answers_for(document, self.models)
        sequence = step.state.sequence()
        source = (user[1], step.offset, answers.info.version)
        if self.may_degrade and document.get("quality") == "degraded":
            for level in LEVELS:
                name = score_id(*source, level)
                if document.get("score_id") == name:
                    score = answers.degraded(sequence, level)
                    return self._document(user, step, answers.info, name, score)
        score = answers.of(sequence)
        return self._document(user, step, answers.info, score_id(*source), score)

    def _document(
        self, user: User, step: Step, info: ModelInfo, name: str, score: Score
    ) -> dict[str, Any]:
        partition, user_id = user
        as_of_ts = step.state.sequence().now_ms  # the newest event time, whatever came last
        return {
            "score_id": name,
            "user_id": user_id,
            "as_of": {
                "topic": self.evidence.events_topic,
                "partition": partition,
                "offset": step.offset,
                "ts": as_of_ts,
            },
            "valid_until": as_of_ts + info.horizon_s * 1000,
            "model": {"name": info.name, "version": info.version},
            "items": [{"item_id": item, "score": p} for item, p in score.items],
            "categories": [{"category": name, "score": p} for name, p in score.categories],
            "intent": {**score.intent, "horizon_s": info.horizon_s},
            "n_events": len(step.state.actions),
            "quality": score.quality,
        }


def _check_user(
    expect: _Expectation,
    user: User,
    steps: list[Step],
    documents: list[Any],
    expired: Set[int],
) -> Iterator[Difference]:
    by_offset = {step.offset: step for step in steps}
    seen: dict[tuple[int, str], Any] = {}
    for document in documents:
        if document is None:
            continue
        offset = _offset(document)
        step = by_offset.get(offset)
        if step is None or step.state.forgotten:
            yield Difference("O2 scores", _name(user), document, "a score of an event that counts")
            continue
        where = f"{_name(user)}, score of offset {offset}"
        # The model or the wait may be another after an interruption; then the id is, too.
        again = seen.setdefault((offset, str(document.get("score_id"))), document)
        if _timeless(document) != _timeless(again):
            yield Difference("O3 same score", where, document, again)
        elif again is document:
            yield from _check_content(where, expect.of(user, step, document), document)
    yield from _check_order(expect.evidence, user, steps, documents, expired)
    yield from _check_last(user, steps[-1], documents, expired)


def _check_content(where: str, expected: dict[str, Any], document: Any) -> Iterator[Difference]:
    for field, wanted in expected.items():
        found = document.get(field)
        if not _same(found, wanted):
            yield Difference("O2 scores", f"{where}, {field}", found, wanted)
    scored_at = document.get("scored_at")
    if not isinstance(scored_at, int) or isinstance(scored_at, bool) or scored_at <= 0:
        yield Difference("O2 scores", f"{where}, scored_at", scored_at, "milliseconds, an integer")


def _same(found: Any, wanted: Any) -> bool:
    """Equal, where floats may differ by TOLERANCE; extra fields of an object are welcome."""
    if isinstance(wanted, float):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        return number and math.isclose(found, wanted, rel_tol=0, abs_tol=TOLERANCE)
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(
            name in found and _same(found[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(found, list)
            and len(found) == len(wanted)
            and all(_same(a, b) for a, b in zip(found, wanted, strict=True))
        )
    return type(found) is type(wanted) and bool(found == wanted)


def _check_order(
    evidence: Evidence, user: User, steps: list[Step], documents: list[Any], expired: Set[int]
) -> Iterator[Difference]:
    """Offsets go up, but for one step back at each interruption; so do the receipts of forgets."""
    forgets = sorted({step.offset for step in steps if step.state.forgotten} | expired)
    allowed = evidence.interruptions
    last, falls, receipts = -1, 0, 0
    for document in documents:
        if document is None:
            receipts += 1
            # A receipt names no offset: it stands for the first forget that is still open. After
            # an interruption it may also be a repeated one, so it tells nothing then.
            if not allowed:
                last = min((offset for offset in forgets if offset > last), default=last)
            continue
        offset = _offset(document)
        falls += offset <= last
        last = offset
    if falls > allowed:
        yield Difference(
            "O3 order", _name(user), f"{falls} steps back in the scores", f"at most {allowed}"
        )
    if receipts > len(forgets) * (allowed + 1):
        yield Difference("O3 order", _name(user), f"{receipts} null scores", f"{len(forgets)}")


def _check_last(
    user: User, step: Step, documents: list[Any], expired: Set[int]
) -> Iterator[Difference]:
    where = f"{_name(user)}, last score"
    if not documents:
        yield Difference("O2 scores", where, "nothing", f"one as of offset {step.offset}")
        return
    last = documents[-1]
    if step.state.forgotten or step.offset in expired:
        if last is not None:
            yield Difference("O2 scores", where, last, "null: the user is forgotten, or expired")
    elif _offset(last) != step.offset:
        yield Difference("O2 scores", where, last, f"a score as of offset {step.offset}")
    elif error := jsonschema.exceptions.best_match(_SCHEMA.iter_errors(last)):
        yield Difference("O2 scores", where, error.message, "a document that fits the schema")


def _offset(document: Any) -> int:
    """The source offset of a score; -1 where there is none to read."""
    try:
        offset = document["as_of"]["offset"]
    except (TypeError, KeyError):
        return -1
    return offset if isinstance(offset, int) else -1


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != "scored_at"}


def _name(user: User) -> str:
    return f"user {user[1]!r} of partition {user[0]}"
