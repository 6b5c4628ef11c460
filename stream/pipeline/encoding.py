"""Encoding: scores and receipts as the records that consumers read."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from model.scorer import Answer, EncodedScore, ModelInfo, Score
from stream.kafka.producer import NO_HEADERS, Record
from stream.pipeline.shedding import Level
from stream.pipeline.users.forget import Forget


class AsOf(NamedTuple):
    """What a score covers: the events of its user up to this one.

    ``ts_ms`` is the newest event time of the sequence, so a late event does not move it back.
    """

    partition: int
    offset: int
    ts_ms: int


_SCORE = (
    b'{"score_id":"%b","user_id":%b,"as_of":{"topic":%b,"partition":%d,"offset":%d,"ts":%d},'
    b'"scored_at":%d,"valid_until":%d,"model":%b,%b,"n_events":%d}'
)
_EMPTY_ID = blake2b(digest_size=16)


class ScoreEncoder:
    """Encodes scores as the JSON of the scores topic (schemas/score.schema.json).

    One encoder serves one model and one degradation level.
    """

    def __init__(self, events_topic: str, model: ModelInfo, level: Level = "full") -> None:
        self.events_topic = events_topic
        self.model = model
        # A degraded score gets an id of its own, so that no consumer takes it for the full one.
        self.source = (model.version if level == "full" else f"{model.version}\0{level}").encode()
        self._topic = orjson.dumps(events_topic)
        self._model = orjson.dumps({"name": model.name, "version": model.version})
        self._horizon_s = model.horizon_s
        self._last: tuple[Score | None, bytes] = (None, b"")

    def encode(
        self, key: bytes, as_of: AsOf, prediction: bytes, scored_at_ms: int, n: int
    ) -> bytes:
        """Encode one score of the user ``key``, whose sequence has ``n`` actions."""
        partition, offset, ts_ms = as_of
        return _SCORE % (
            self.score_id(key, offset),
            orjson.dumps(key.decode()),
            self._topic,
            partition,
            offset,
            ts_ms,
            scored_at_ms,
            ts_ms + self._horizon_s * 1000,
            self._model,
            prediction,
            n,
        )

    def score_id(self, key: bytes, offset: int) -> bytes:
        """Derive the id from user, source offset and model version: a resent score keeps its id."""
        digest = _EMPTY_ID.copy()  # blake2b(…) reads its options each time: twice as long
        digest.update(b"%b\0%d\0%b" % (key, offset, self.source))
        return digest.hexdigest().encode()

    def predictions(self, scores: Sequence[Answer | Exception]) -> list[bytes | None]:
        """Encode the model's part of each score; None for a user who could not be scored."""
        encode = self.prediction
        return [None if isinstance(score, Exception) else encode(score) for score in scores]

    def prediction(self, score: Answer) -> bytes:
        """The model's part of the JSON, without braces; cold users share one, encoded once."""
        if isinstance(score, EncodedScore):
            return score.json
        last, encoded = self._last
        if score is not last:
            prediction: dict[str, Any] = {
                "items": [{"item_id": item, "score": p} for item, p in score.items],
                "categories": [{"category": name, "score": p} for name, p in score.categories],
                "intent": {**score.intent, "horizon_s": self._horizon_s},
                "quality": score.quality,
            }
            if score.vector is not None:
                prediction["vector"] = score.vector
            if score.path is not None:
                prediction["visit"] = score.path
            encoded = orjson.dumps(prediction)[1:-1]
            self._last = (score, encoded)
        return encoded


class ReceiptEncoder:
    """Encodes the receipt of a ``forget`` event, published once the user's score is withdrawn.

    The receipt names the event by its offset (schemas/receipt.schema.json) and does not identify
    the user: it holds no user id, and no hash that could be tried against a list of ids.
    """

    def __init__(self, events_topic: str, group: str) -> None:
        self._topic = events_topic
        self._group = group

    def encode(self, partition: int, forget: Forget, now_ms: int) -> Record:
        """The receipt for one event of this partition; a resent receipt keeps its id."""
        event = forget.event
        position = {
            "topic": self._topic,
            "partition": partition,
            "offset": event.offset,
            "ts": event.message.timestamp,
        }
        receipt = {
            "receipt_id": self._receipt_id(partition, event.offset),
            "forget": position,
            "forgotten_at": now_ms,
            "group": self._group,
            "removed": forget.removed,
        }
        return b"%d-%d" % (partition, event.offset), orjson.dumps(receipt), NO_HEADERS

    def _receipt_id(self, partition: int, offset: int) -> str:
        text = f"{self._topic}\0{partition}\0{offset}\0{self._group}"
        return blake2b(text.encode(), digest_size=16).hexdigest()
