"""The delivery stage: sends what a scored batch produced, each part acknowledged in turn."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

from model.scorer import ModelInfo, Score
from stream.events import DeadLetter
from stream.failpoints import hit
from stream.kafka.commits import group_headers
from stream.kafka.dead_letters import dead_letter_record
from stream.kafka.producer import (
    NO_HEADERS,
    Delivery,
    Publisher,
    Record,
    await_acks,
)
from stream.kafka.write_fence import WriteFence
from stream.metrics import Metrics
from stream.pipeline.batch import Batch, PartitionBatch
from stream.pipeline.encoding import AsOf, ReceiptEncoder, ScoreEncoder
from stream.pipeline.scoring import Scored
from stream.pipeline.shedding import Level
from stream.pipeline.topics import Topics
from stream.storage.applied_offset import expiry_headers, tombstone_headers
from stream.storage.store import StateStore

Sent = list[tuple[str, list[Delivery]]]  # topic, and what is in flight to it
Written = list[tuple[PartitionBatch, int]]  # with the offset of its last changelog record
Encode = Callable[[bytes, AsOf, Score, int, int], bytes]


class DeliveryStage:
    """Sends scores and dead letters, then receipts, then the changelog, then writes the disk."""

    def __init__(
        self,
        topics: Topics,
        publisher: Publisher,
        store: StateStore,
        fence: WriteFence,
        metrics: Metrics,
    ) -> None:
        self._topics = topics
        self._receipts = ReceiptEncoder(topics.events, topics.group)
        self._headers = group_headers(topics.group)  # of every score
        self._publisher = publisher
        self._store = store
        self._fence = fence
        self._metrics = metrics
        self._encoder: ScoreEncoder | None = None
        self._encodes: tuple[ModelInfo, Level] | None = None  # the model and level of the encoder

    async def send(self, batch: Batch, scored: Scored) -> Sent:
        """Hand scores and dead letters to the producer, in this order; they are not yet safe."""
        topics, now_ms = self._topics, int(time.time() * 1000)
        encode = self._encoder_of(scored).encode
        sent: Sent = []
        remaining = iter(scored.scores)
        for part in batch.parts.values():
            scores = [next(remaining) for _ in part.rows]
            records = self._score_records(part, scores, encode, now_ms)
            if records:
                self._fence.sending(topics.scores, part.number)
                deliveries = await self._publisher.send(topics.scores, part.number, records)
                sent.append((topics.scores, deliveries))
                hit("scores_sent")
            if part.dead:
                target = part.number % topics.dead_partitions
                letters = [dead_letter_record(topics.events, part.number, d) for d in part.dead]
                sent.append((topics.dead, await self._publisher.send(topics.dead, target, letters)))
                hit("dead_sent")
        return sent

    def _encoder_of(self, scored: Scored) -> ScoreEncoder:
        """The encoder for the model that gave these scores, which may have been replaced since."""
        source = (scored.model, scored.level)
        if self._encoder is None or source != self._encodes:
            self._encoder = ScoreEncoder(self._topics.events, *source)
            self._encodes = source
        return self._encoder

    def _score_records(
        self,
        part: PartitionBatch,
        scores: Sequence[Score | Exception],
        encode: Encode,
        now_ms: int,
    ) -> list[Record]:
        headers = self._headers
        records: list[Record] = [
            (key, None, tombstone_headers(at) + headers) for key, at in part.forgotten.items()
        ]
        records += [(key, None, expiry_headers(at) + headers) for key, at in part.expired.items()]
        for row, score in zip(part.rows, scores, strict=True):
            if isinstance(score, Exception):
                message = row.waiting.last.message
                exception = type(score).__name__
                part.dead.append(DeadLetter(message, "unscorable", exception, str(score)))
            else:
                value = encode(row.key, row.as_of, score, now_ms, row.n_events)
                records.append((row.key, value, headers))
        return records

    async def await_acks(self, batch: Batch, scored: Scored, sent: Sent) -> None:
        """Wait until the broker has what was sent, then send the receipts and wait for them.

        Raises DeliveryError if it does not take them.
        """
        for topic, deliveries in sent:
            if topic == self._topics.scores:
                await await_acks(topic, deliveries)
        self._observe_scores(batch, scored)  # now: dead letters and receipts take their own time
        for topic, deliveries in sent:
            await await_acks(topic, deliveries)
        hit("acknowledged")
        self._observe_dead_letters(batch)
        for topic, deliveries in await self._send_receipts(batch):
            await await_acks(topic, deliveries)

    async def _send_receipts(self, batch: Batch) -> Sent:
        """Send the receipts of withdrawn scores; only now, when the broker has the tombstones."""
        topics, now_ms = self._topics, int(time.time() * 1000)
        sent: Sent = []
        for part in batch.parts.values():
            if part.forgets:
                target = part.number % topics.receipt_partitions
                receipts = [self._receipts.encode(part.number, f, now_ms) for f in part.forgets]
                deliveries = await self._publisher.send(topics.receipts, target, receipts)
                sent.append((topics.receipts, deliveries))
                hit("receipts_sent")
        return sent

    def check_fence(self, acknowledged: Sent) -> None:
        """Check that nobody else wrote between our scores; call in the order of the batches.

        Raises FencedError if somebody did.
        """
        for topic, deliveries in acknowledged:
            if topic == self._topics.scores:
                self._fence.acknowledged(topic, deliveries)

    async def write_changelog(self, batch: Batch) -> Written:
        """Write the changelog, and wait until the broker has it.

        Raises DeliveryError if it does not take it, and FencedError as `check_fence` does.
        """
        changelog = self._topics.changelog
        sent = []
        for part in batch.parts.values():
            if part.changes:
                headers = part.headers.get
                records = [(k, value, headers(k, NO_HEADERS)) for k, value in part.changes.items()]
                self._fence.sending(changelog, part.number)
                sent.append((part, await self._publisher.send(changelog, part.number, records)))
                hit("changelog_sent")
        written = []
        for part, deliveries in sent:
            last = await await_acks(changelog, deliveries)
            self._fence.acknowledged(changelog, deliveries)
            written.append((part, last))
        return written

    async def write_disk(self, written: Written) -> None:
        """Write what is in the changelog to disk, with its offset there, off the event loop."""
        await asyncio.to_thread(self._write_disk, written)

    def _write_disk(self, written: Written) -> None:
        for part, changelog_offset in written:
            self._store.write(part.number, part.changes.items(), changelog_offset)
            hit("state_put")

    def _observe_scores(self, batch: Batch, scored: Scored) -> None:
        scores, metrics = scored.scores, self._metrics
        for quality, n in Counter(s.quality for s in scores if isinstance(s, Score)).items():
            metrics.scores[quality].inc(n)
        metrics.scored_items["no"].inc(scored.unknown_items)
        metrics.scored_items["yes"].inc(len(scores) - scored.unknown_items)
        metrics.expired_users.inc(sum(len(part.expired) for part in batch.parts.values()))
        now_ms = time.time() * 1000
        waited_s = [
            max(0.0, (now_ms - sent_ms) / 1000)
            for row, score in zip(batch.rows, scores, strict=True)
            # A record without a timestamp (-1) does not say when it was sent.
            if (sent_ms := row.waiting.first.timestamp_ms) >= 0 and isinstance(score, Score)
        ]
        if waited_s:
            metrics.event_to_score.observe_many(waited_s)

    def _observe_dead_letters(self, batch: Batch) -> None:
        reasons = Counter(dead.reason for part in batch.parts.values() for dead in part.dead)
        for reason, n in reasons.items():
            self._metrics.dead_letters[reason].inc(n)
