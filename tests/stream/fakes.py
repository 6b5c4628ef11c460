"""Stand-ins for what the stream meets: messages, scorers, and a broker that answers when told."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future as ThreadFuture
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka.structs import RecordMetadata, TopicPartition

from model import native
from model.scorer import ANYTHING, ModelInfo, Score
from model.sequence import Sequence as Actions
from stream.events import Event, Message
from stream.kafka.producer import Delivery, Publisher, Record, RecordBatch
from stream.pipeline.scoring import Device, Scored, _predict, count_unknown_items
from stream.pipeline.shedding import Level

NOW_MS = 1_790_000_000_000
# Record timestamps that are none: of old producers and mirrors, in seconds, and in microseconds.
NO_CLOCKS = (-1, 0, 1, NOW_MS // 1000, NOW_MS * 1000)


@dataclass
class FakeMessage:
    """A record as the consumer gives it; the defaults are those of a keyed, plain message."""

    value: bytes | None
    key: bytes | None = b"u1"
    offset: int = 0
    timestamp: int = NOW_MS
    headers: Sequence[tuple[str, bytes | None]] = ()


def click(user: str = "u1", offset: int = 0, **fields: Any) -> FakeMessage:
    """A valid message; ``fields`` change or, when None, remove what its JSON says."""
    body = {"user_id": user, "item_id": f"i{offset}", "action": "click", "ts": NOW_MS} | fields
    kept = {name: value for name, value in body.items() if value is not None}
    return FakeMessage(json.dumps(kept, ensure_ascii=False).encode(), user.encode(), offset)


def click_with(name: str, value: object) -> FakeMessage:
    """A click in which one field is different or, when None, missing."""
    changes: dict[str, Any] = {name: value}
    return click(**changes)


def forget(user: str = "u1", offset: int = 0) -> FakeMessage:
    """The wish of a user to be forgotten."""
    return click(user, offset, action="forget", item_id=None, ts=None)


def event(
    offset: int = 0,
    ts_ms: int = NOW_MS,
    *,
    key: bytes = b"u1",
    item: str | None = None,
    action: str = "click",
    event_id: str | None = None,
    timestamp_ms: int | None = None,
    category: str | None = None,
) -> Event:
    """A valid event, by default recorded at the time at which it happened."""
    timestamp_ms = ts_ms if timestamp_ms is None else timestamp_ms
    message: Message = FakeMessage(b"{}", key, offset, timestamp_ms)
    item = f"i{offset}" if item is None else item
    return Event(key, offset, timestamp_ms, item, action, ts_ms, event_id, message, category)


class EchoScorer:
    """Scores a sequence by its last item, and fails for whoever has a poisoned one."""

    info = ModelInfo("echo", "cafe00000000", "cpu", horizon_s=1800)
    vocabulary = ANYTHING

    def __init__(self, poison: Iterable[str] = ()) -> None:
        self.poison = frozenset(poison)
        self.batches: list[int] = []

    def score(self, sequences: Sequence[Actions]) -> list[Score]:
        """The last item, for certain."""
        self.batches.append(len(sequences))
        for sequence in sequences:
            if self.poison.intersection(sequence.items):
                raise ValueError(f"cannot score {sequence.items[-1]}")
        return [Score([(s.items[-1], 1.0)], [], {"buy": 0.5}, "full") for s in sequences]


class ManualDevice(Device):
    """Scores on the event loop; while held, batches lie on it until let go."""

    def __init__(self, scorer: EchoScorer) -> None:
        self._scorer = scorer
        self._free = asyncio.Event()
        self._free.set()
        self.error: Exception | None = None

    def hold(self) -> None:
        """Let whatever comes from now on lie."""
        self._free.clear()

    def release(self) -> None:
        """Score what lies here, and all that comes."""
        self._free.set()

    async def score(self, sequences: Sequence[Actions], level: Level = "full") -> Scored:
        """Score when free, by the model that was there when the batch came."""
        scorer = self._scorer
        await self._free.wait()
        if self.error is not None:
            raise self.error
        scores = _predict(scorer, sequences, level)
        return Scored(scorer.info, level, scores, count_unknown_items(scorer, sequences))


class Sent(NamedTuple):
    """A batch of records that the broker was given, and the promise of its answer."""

    topic: str
    partition: int
    offset: int  # of the first record
    records: list[Record]
    answer: "asyncio.Future[RecordMetadata]"

    def acknowledge(self) -> None:
        """The broker has them."""
        tp = TopicPartition(self.topic, self.partition)
        self.answer.set_result(
            RecordMetadata(self.topic, self.partition, tp, self.offset, None, 0, 0)
        )

    @property
    def keys(self) -> list[bytes | None]:
        """The keys of the records, in order."""
        return [key for key, _, _ in self.records]


class Built(list[Record]):
    """A batch of records that is not encoded."""

    def record_count(self) -> int:
        """How many records it has."""
        return len(self)


def records_of(batch: Any) -> list[Record]:
    """The records of a batch, also of one that the native core has encoded."""
    if isinstance(batch, Built):
        return list(batch)
    chunk = native.core.Chunk(bytes(batch._build()), 0)
    records = (chunk[at] for at in range(len(chunk)))
    return [(key, value, list(headers)) for _, _, key, value, headers in records]


class ManualPublisher(Publisher):
    """A broker that acknowledges when the test says so, in any order."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.batch_bytes = 1 << 20
        self._codec = None
        self._ends: Counter[tuple[str, int]] = Counter()

    def build(self, records: Iterable[Record]) -> list[RecordBatch]:
        """One batch of all records, if there are any."""
        return [Built(taken)] if (taken := list(records)) else []

    async def send_batches(
        self, topic: str, partition: int, batches: Iterable[RecordBatch]
    ) -> list[Delivery]:
        """Take the records, and answer nothing yet."""
        taken = [record for batch in batches for record in records_of(batch)]
        offset = self._ends[topic, partition]
        self._ends[topic, partition] += len(taken)
        answer: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        self.sent.append(Sent(topic, partition, offset, taken, answer))
        return [Delivery(len(taken), answer)]

    def take_over(self, sent: Sent) -> None:
        """The broker had this before, from another worker."""
        answer: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        self.sent.append(sent._replace(answer=answer))
        self.sent[-1].acknowledge()
        self._ends[sent.topic, sent.partition] = sent.offset + len(sent.records)

    def unanswered(self, topic: str | None = None) -> list[Sent]:
        """What waits for an answer, in the order in which it was sent."""
        return [s for s in self.sent if not s.answer.done() and topic in (None, s.topic)]

    def log(self, topic: str, partition: int | None = None) -> list[tuple[bytes, bytes | None]]:
        """Keys and values that the broker has acknowledged, in the order of the log."""
        taken = [
            s
            for s in self.sent
            if s.topic == topic
            and s.answer.done()
            and not s.answer.exception()
            and partition in (None, s.partition)
        ]
        return [(key, value) for s in taken for key, value, _ in s.records if key is not None]


class ManualExecutor(ThreadPoolExecutor):
    """Runs work on the spot; while held, it queues it until let go."""

    def __init__(self) -> None:
        super().__init__(1)
        self._queue: list[Callable[[], None]] = []
        self.held = False

    def submit(self, work: Any, /, *args: Any, **kwargs: Any) -> ThreadFuture[Any]:
        """Run the work now, or when let go."""
        future: ThreadFuture[Any] = ThreadFuture()

        def run() -> None:
            try:
                future.set_result(work(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - as an executor does
                future.set_exception(error)

        if self.held:
            self._queue.append(run)
        else:
            run()
        return future

    def release(self) -> None:
        """Run what lies here, and all that comes."""
        self.held = False
        while self._queue:
            self._queue.pop(0)()


async def settle() -> None:
    """Let everything go as far as it can without an answer from outside."""
    for _ in range(40):
        await asyncio.sleep(0)
