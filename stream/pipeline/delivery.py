"""The outlet: how a scored batch leaves the worker, each part acknowledged before the next."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from model.scorer import ModelInfo, Score
from stream.events import DeadLetter
from stream.failpoints import hit
from stream.kafka.dead_letters import dead_letter_record
from stream.kafka.producer import (
    NO_HEADERS,
    Delivery,
    Publisher,
    Record,
    acknowledged,
)
from stream.kafka.write_fence import Succession
from stream.metrics import Metrics
from stream.pipeline.batch import Batch, Share
from stream.pipeline.encoding import AsOf, ReceiptEncoder, ScoreEncoder
from stream.pipeline.scoring import Scored
from stream.pipeline.shedding import Level
from stream.storage.applied_offset import headers_of_null
from stream.storage.store import StateStore


class Topics(NamedTuple):
    """Where the events of a group come from, and where what becomes of them goes."""

    events: str
    scores: str
    dead: str
    dead_partitions: int
    receipts: str
    receipt_partitions: int
    changelog: str
    group: str


Sent = list[tuple[str, list[Delivery]]]  # topic, and what is on its way there
Written = list[tuple[Share, int]]  # what a partition has in a batch, and its changelog offset
Encode = Callable[[bytes, AsOf, Score, int, int], bytes]


class Outlet:
    """Sends scores and dead letters, then receipts, then the changelog, then writes the disk."""

    def __init__(
        self,
        topics: Topics,
        publisher: Publisher,
        store: StateStore,
        succession: Succession,
        metrics: Metrics,
    ) -> None:
        self._topics = topics
        self._receipts = ReceiptEncoder(topics.events, topics.group)
        self._publisher = publisher
        self._store = store
        self._succession = succession
        self._metrics = metrics
        self._encoder: ScoreEncoder | None = None
        self._encodes: tuple[ModelInfo, Level] | None = None  # whose scores, and how degraded

    async def send(self, batch: Batch, scored: Scored) -> Sent:
        """Hand scores and dead letters to the producer, in this order; they are not yet safe."""
        topics, now_ms = self._topics, int(time.time() * 1000)
        encode = self._encoder_of(scored).encode
        sent: Sent = []
        remaining = iter(scored.scores)
        for share in batch.shares.values():
            scores = [next(remaining) for _ in share.rows]
            records = self._score_records(share, scores, encode, now_ms)
            if records:
                self._succession.sends(topics.scores, share.number)
                deliveries = await self._publisher.send(topics.scores, share.number, records)
                sent.append((topics.scores, deliveries))
                hit("scores_sent")
            if share.dead:
                target = share.number % topics.dead_partitions
                letters = [dead_letter_record(topics.events, share.number, d) for d in share.dead]
                sent.append((topics.dead, await self._publisher.send(topics.dead, target, letters)))
                hit("dead_sent")
        return sent

    def _encoder_of(self, scored: Scored) -> ScoreEncoder:
        """The encoder for the model that gave these scores, which may serve no longer."""
        source = (scored.model, scored.level)
        if self._encoder is None or source != self._encodes:
            self._encoder = ScoreEncoder(self._topics.events, *source)
            self._encodes = source
        return self._encoder

    def _score_records(
        self, share: Share, scores: Sequence[Score | Exception], encode: Encode, now_ms: int
    ) -> list[Record]:
        forgotten = share.forgotten.items()
        records: list[Record] = [(key, None, headers_of_null(at)) for key, at in forgotten]
        for row, score in zip(share.rows, scores, strict=True):
            if isinstance(score, Exception):
                message = row.waiting.last.message
                kind = type(score).__name__
                share.dead.append(DeadLetter(message, "unscorable", kind, str(score)))
            else:
                value = encode(row.key, row.as_of, score, now_ms, row.n_events)
                records.append((row.key, value, NO_HEADERS))
        return records

    async def settle(self, batch: Batch, scored: Scored, sent: Sent) -> None:
        """Wait until the broker has what was sent, and then the receipts for what was forgotten.

        Raises DeliveryError if it does not take them.
        """
        for topic, deliveries in sent:
            await acknowledged(topic, deliveries)
        hit("acknowledged")
        for topic, deliveries in await self._send_receipts(batch):
            await acknowledged(topic, deliveries)
        self._observe(batch, scored.scores)

    async def _send_receipts(self, batch: Batch) -> Sent:
        """Say whose scores are withdrawn; only now, when the broker has the nulls."""
        topics, now_ms = self._topics, int(time.time() * 1000)
        sent: Sent = []
        for share in batch.shares.values():
            if share.forgets:
                target = share.number % topics.receipt_partitions
                receipts = [self._receipts.encode(share.number, e, now_ms) for e in share.forgets]
                deliveries = await self._publisher.send(topics.receipts, target, receipts)
                sent.append((topics.receipts, deliveries))
                hit("receipts_sent")
        return sent

    def look_for_others(self, settled: Sent) -> None:
        """Call in the order of the batches; raises FencedError if others' scores stand before."""
        for topic, deliveries in settled:
            if topic == self._topics.scores:
                self._succession.follow(topic, deliveries)

    async def write_changelog(self, batch: Batch) -> Written:
        """Write the changelog, and wait until the broker has it; raises FencedError as well."""
        changelog = self._topics.changelog
        sent = []
        for share in batch.shares.values():
            if share.changes:
                headers = share.headers.get
                records = [(k, value, headers(k, NO_HEADERS)) for k, value in share.changes.items()]
                self._succession.sends(changelog, share.number)
                sent.append((share, await self._publisher.send(changelog, share.number, records)))
                hit("changelog_sent")
        written = []
        for share, deliveries in sent:
            last = await acknowledged(changelog, deliveries)
            self._succession.follow(changelog, deliveries)
            written.append((share, last))
        return written

    async def write_disk(self, written: Written) -> None:
        """Write what is in the changelog to disk, with its offset there, off the event loop."""
        await asyncio.to_thread(self._write_disk, written)

    def _write_disk(self, written: Written) -> None:
        for share, changelog_offset in written:
            self._store.write(share.number, share.changes.items(), changelog_offset)
            hit("state_put")

    def _observe(self, batch: Batch, scores: Sequence[Score | Exception]) -> None:
        for quality, n in Counter(s.quality for s in scores if isinstance(s, Score)).items():
            self._metrics.scores[quality].inc(n)
        reasons = Counter(dead.reason for share in batch.shares.values() for dead in share.dead)
        for reason, n in reasons.items():
            self._metrics.dead_letters[reason].inc(n)
        now_ms = time.time() * 1000
        waited_s = [
            max(0.0, (now_ms - row.waiting.first.timestamp_ms) / 1000) for row in batch.rows
        ]
        if waited_s:
            self._metrics.event_to_score.observe_many(waited_s)
