"""The delivery stage: sends what a scored batch produced, each part acknowledged in turn."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model.scorer import Answer, ModelInfo
from stream.events import DeadLetter, Message
from stream.failpoints import hit
from stream.kafka.commits import group_headers
from stream.kafka.dead_letters import dead_letter_record
from stream.kafka.producer import (
    Delivery,
    Publisher,
    Record,
    RecordBatch,
    await_acks,
)
from stream.kafka.write_fence import WriteFence
from stream.metrics import Metrics
from stream.pipeline.batch import Batch, PartitionBatch
from stream.pipeline.encoding import ReceiptEncoder, ScoreEncoder
from stream.pipeline.scoring import Scored
from stream.pipeline.shedding import Level
from stream.pipeline.topics import Topics
from stream.storage.applied_offset import expiry_headers, tombstone_headers
from stream.storage.store import StateStore

Sent = list[tuple[str, list[Delivery]]]  # topic, and what is in flight to it
Written = list[tuple[PartitionBatch, int]]  # with the offset of its last changelog record


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
        encoder = self._encoder_of(scored)
        sent: Sent = []
        begin = 0
        for part in batch.parts.values():
            scores = scored.scores[begin : begin + part.rows]
            begin += part.rows
            batches = self._score_batches(part, scores, encoder, now_ms)
            if batches:
                self._fence.sending(topics.scores, part.number)
                deliveries = await self._publisher.send_batches(topics.scores, part.number, batches)
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

    def _score_batches(
        self,
        part: PartitionBatch,
        scores: Sequence[Answer | Exception],
        encoder: ScoreEncoder,
        now_ms: int,
    ) -> list[RecordBatch]:
        headers, publisher, snapshot = self._headers, self._publisher, part.snapshot
        forgotten = {} if snapshot is None else snapshot.forgotten
        withdrawn: list[Record] = [
            (key, None, tombstone_headers(at) + headers) for key, at in forgotten.items()
        ]
        withdrawn += [(key, None, expiry_headers(at) + headers) for key, at in part.expired.items()]
        batches = publisher.build(withdrawn)
        if snapshot is not None:
            predictions = encoder.predictions(scores)
            batches += snapshot.scores(publisher, encoder, predictions, now_ms, headers)
            for row, score in enumerate(scores):
                if isinstance(score, Exception):
                    part.dead.append(_unscorable(snapshot.last_message(row), score))
        return batches

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
            batches = self._changelog_batches(part)
            if batches:
                self._fence.sending(changelog, part.number)
                deliveries = await self._publisher.send_batches(changelog, part.number, batches)
                sent.append((part, deliveries))
                hit("changelog_sent")
        written = []
        for part, deliveries in sent:
            last = await await_acks(changelog, deliveries)
            self._fence.acknowledged(changelog, deliveries)
            written.append((part, last))
        return written

    def _changelog_batches(self, part: PartitionBatch) -> list[RecordBatch]:
        publisher, snapshot = self._publisher, part.snapshot
        values = [] if snapshot is None else snapshot.changelog(publisher)
        return values + publisher.build((key, None, h) for key, h in part.tombstones.items())

    async def write_disk(self, written: Written) -> None:
        """Write what is in the changelog to disk, with its offset there, off the event loop."""
        await asyncio.to_thread(self._write_disk, written)

    def _write_disk(self, written: Written) -> None:
        for part, changelog_offset in written:
            self._store.write(part.number, part.changes(), changelog_offset)
            hit("state_put")

    def _observe_scores(self, batch: Batch, scored: Scored) -> None:
        scores, metrics = scored.scores, self._metrics
        scored_users = (score for score in scores if not isinstance(score, Exception))
        for quality, n in Counter(score.quality for score in scored_users).items():
            metrics.scores[quality].inc(n)
        metrics.scored_items["no"].inc(scored.unknown_items)
        metrics.scored_items["yes"].inc(len(scores) - scored.unknown_items)
        metrics.expired_users.inc(sum(len(part.expired) for part in batch.parts.values()))
        times_ms = [
            part.snapshot.first_times_ms()
            for part in batch.parts.values()
            if part.snapshot is not None
        ]
        if scores:
            self._observe_waits(np.concatenate(times_ms), scores)

    def _observe_waits(
        self, times_ms: npt.NDArray[np.int64], scores: Sequence[Answer | Exception]
    ) -> None:
        # A record without a timestamp (-1) does not say when it was sent.
        counted = times_ms >= 0
        counted[[isinstance(score, Exception) for score in scores]] = False
        if counted.any():
            waited_ms = np.maximum(0.0, time.time() * 1000 - times_ms[counted])
            self._metrics.event_to_score.observe_many(waited_ms / 1000)

    def _observe_dead_letters(self, batch: Batch) -> None:
        reasons = Counter(dead.reason for part in batch.parts.values() for dead in part.dead)
        for reason, n in reasons.items():
            self._metrics.dead_letters[reason].inc(n)


def _unscorable(message: Message, error: Exception) -> DeadLetter:
    return DeadLetter(message, "unscorable", type(error).__name__, str(error))
