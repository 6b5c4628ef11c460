"""The native core beside its twins in Python: microseconds of CPU for an event, stage by stage.

    .venv/bin/python -m benchmarks.native           # --users 5000 --rounds 5

Both do the same work on the same bytes, in turn, and what they make is compared first.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from benchmarks import events
from model import native
from model.artifact.calibration import Calibration
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.features import Ragged, flatten
from model.outputs import Outputs
from model.sequence import Sequence as Actions
from model.serving.answering.answers import Answers
from model.serving.null import NullScorer
from stream.events import Validator
from stream.kafka.producer import NO_HEADERS, Record
from stream.pipeline.encoding import AsOf, ScoreEncoder
from stream.user_state import Rules, UserState

ACTIONS = ("click", "cart", "buy")
DAY_MS = 86_400_000
RULES = Rules(50, 64, 30 * DAY_MS, 60_000, 90 * DAY_MS)
MAX_BYTES, LIMIT = 1 << 20, 1_000_000
ITEMS, CATEGORIES, CHUNK = 50_000, 200, 64
PYTHON, CORE = "Python", "native"


class Log(NamedTuple):
    """The bytes of two fetches: what every user did before, and one event of each."""

    before: bytes
    now: bytes
    first: int  # offset of the second


class Timer:
    """CPU times of the stages of both."""

    def __init__(self, per: int) -> None:
        self._per = per
        self.times_us: dict[tuple[str, str], list[float]] = {}

    @contextmanager
    def time(self, stage: str, by: str) -> Iterator[None]:
        """Time a stage, as microseconds an event."""
        gc.collect()
        start_s = time.process_time()
        yield
        took_us = (time.process_time() - start_s) / self._per * 1e6
        self.times_us.setdefault((stage, by), []).append(took_us)

    def median_us(self, stage: str, by: str) -> float:
        """The median of the rounds."""
        return statistics.median(self.times_us[stage, by])


def build_in_python(records: Sequence[Record], timestamp_ms: int) -> list[Any]:
    """Batches as the publisher makes them."""
    batches, batch = [], BatchBuilder(LIMIT, 0)
    for key, value, headers in records:
        record = {"timestamp": timestamp_ms, "key": key, "value": value, "headers": headers}
        if batch.append(**record) is None:
            batches.append(batch)
            batch = BatchBuilder(LIMIT, 0)
            batch.append(**record)
    return [*batches, batch]


def fetch(records: Sequence[tuple[bytes, bytes]], offset: int) -> bytes:
    """The records as a broker returns them, ten milliseconds apart."""
    stored = []
    for start in range(0, len(records), 500):
        batch = BatchBuilder(LIMIT, 0)
        for at, (key, value) in enumerate(records[start : start + 500], offset + start):
            batch.append(timestamp=events.START_MS + at * 10, key=key, value=value, headers=[])
        stored.append((offset + start).to_bytes(8, "big") + bytes(batch._build())[8:])
    return b"".join(stored)


def log(users: int, history: int) -> Log:
    """One event of every user after so many others."""
    records = events.make(users * (history + 1), users)
    first = users * history
    return Log(fetch(records[:first], 0), fetch(records[first:], first), first)


def read_in_python(data: bytes, offset: int) -> list[Any]:
    """The records of a fetch, as the consumer gives them."""
    partition = TopicPartition("events", 0)
    return list(PartitionRecords(partition, MemoryRecords(data), [], offset, None, None, True, 0))


class Stages:
    """One round of both on one log, and what they made."""

    def __init__(self, log: Log, users: int, timer: Timer) -> None:
        self._log = log
        self._users = users
        self._timer = timer
        self._validator = Validator(frozenset(ACTIONS), MAX_BYTES, lambda _: 0)
        self._answer = NullScorer().score([None])[0]  # type: ignore[list-item]
        self._info = NullScorer().info
        self._model = _Model(users)

    def python(self) -> list[list[bytes]]:
        """The reference."""
        states: dict[bytes, UserState] = {}
        self._fold(read_in_python(self._log.before, 0), states)
        timed, by = self._timer.time, PYTHON
        with timed("records of a fetch", by):
            messages = read_in_python(self._log.now, self._log.first)
        with timed("validate and fold", by):
            self._fold(messages, states)
        with timed("state bytes and sequences", by):
            changes = [(key, state.to_bytes(), NO_HEADERS) for key, state in states.items()]
            sequences = [state.sequence() for state in states.values()]
        with timed("codes of the sequences", by):
            codes = [column.tobytes() for column in self._model.codes(sequences)]
        with timed("changelog batches", by):
            changelog = build_in_python(changes, events.START_MS)
        encoder = ScoreEncoder("events", self._info)
        with timed("scores of the null scorer, batches", by):
            scores = [
                (
                    key,
                    encoder.encode(
                        key,
                        AsOf(0, state.applied_offset, state.last_seen_ms),
                        encoder.prediction(self._answer),
                        events.START_MS,
                        len(state.items),
                    ),
                    NO_HEADERS,
                )
                for key, state in states.items()
            ]
            published = build_in_python(scores, events.START_MS)
        with timed("checksums", by):
            sealed = [[bytes(b._build()) for b in batches] for batches in (changelog, published)]
        with timed("predictions: 20 items, 200 categories", by):
            predictions = self._model.python(encoder)
        return [codes, *sealed, predictions]

    def _fold(self, messages: list[Any], states: dict[bytes, UserState]) -> None:
        for start in range(0, len(messages), 1000):
            valid, _ = self._validator.validate(messages[start : start + 1000], 0)
            for event in valid:
                states.setdefault(event.key, UserState()).apply(event, RULES)

    def native(self) -> list[list[bytes]]:
        """The native core."""
        core, users, vocabulary = native.core, self._new_users(), self._model.vocabulary()
        users.know(vocabulary)
        self._fold_natively(users, core.Chunk(self._log.before, 0))
        users.take(users.waiting)
        timed, by = self._timer.time, CORE
        with timed("records of a fetch", by):
            chunk = core.Chunk(self._log.now, self._log.first)
        with timed("validate and fold", by):
            self._fold_natively(users, chunk)
        info = self._info
        with timed("state bytes and sequences", by):
            snapshot = users.take(users.waiting)
        with timed("codes of the sequences", by):
            codes = vocabulary.encode(snapshot)
        with timed("changelog batches", by):
            changelog = snapshot.changelog(LIMIT, events.START_MS)
        prediction = ScoreEncoder("events", info).prediction(self._answer)
        writer = core.ScoreWriter(
            "events", info.name, info.version, info.version.encode(), info.horizon_s
        )
        with timed("scores of the null scorer, batches", by):
            published = snapshot.scores(
                writer, 0, [prediction] * len(snapshot), events.START_MS, NO_HEADERS, LIMIT
            )
        with timed("checksums", by):
            sealed = [[b._build() for b in batches] for batches in (changelog, published)]
        with timed("predictions: 20 items, 200 categories", by):
            predictions = self._model.native()
        return [codes, *sealed, predictions]

    def _new_users(self) -> Any:
        rules = (RULES.sequence_length, RULES.dedupe_window, RULES.allowed_lateness_ms)
        limits = (RULES.max_future_ms, RULES.ttl_ms)
        return native.core.Users(*rules, *limits, list(ACTIONS), MAX_BYTES)

    @staticmethod
    def _fold_natively(users: Any, chunk: Any) -> None:
        for key in users.missing(chunk, 0, len(chunk)):
            users.load(key, None)
        assert users.fold(chunk, 0, len(chunk)) == len(chunk)


class _Model:
    """The outputs of a model for so many users, and both ways to write them."""

    def __init__(self, users: int) -> None:
        items = [f"item-{number:05d}" for number in range(ITEMS)]
        categories = [f"category-{number}" for number in range(CATEGORIES)]
        numbers = np.arange(ITEMS)
        self._items = items
        self._catalogue = Catalogue(items, categories, numbers % CATEGORIES, ITEMS - numbers)
        self._config = config = ArtifactConfig()
        self._calibration = Calibration(config.intents, (1.0, 1.0), (0.0, 0.0), (0.1, 0.05))
        self._answers = Answers(self._catalogue, self._calibration, config)
        self._new_writer: Callable[[], Any] = lambda: native.core.PredictionWriter(
            items, categories, list(config.intents), config.horizon_s, config.top_categories
        )
        self._writer: Any = None
        random = np.random.default_rng(0)
        self._outputs = [_outputs(random) for _ in range(users // CHUNK)]

    def codes(self, sequences: Sequence[Actions]) -> Ragged:
        return flatten(sequences, self._catalogue, self._config)

    def vocabulary(self) -> Any:
        config = self._config
        actions, bounds_ms = list(config.actions), list(config.gap_bounds_ms)
        return native.core.Vocabulary(self._items, actions, bounds_ms, config.max_length)

    def python(self, encoder: ScoreEncoder) -> list[bytes]:
        return [
            encoder.prediction(score)
            for outputs in self._outputs
            for score in self._answers.full(outputs)
        ]

    def native(self) -> list[bytes]:
        self._writer = self._writer or self._new_writer()
        found: list[bytes] = []
        for outputs in self._outputs:
            chances = self._calibration.apply(outputs.intent_logits)
            rows = self._writer.write(*outputs[:3], chances)
            found += (rows[at] for at in range(len(rows)))
        return found


def _outputs(random: np.random.Generator) -> Outputs:
    shares = np.sort(random.random((CHUNK, 20)) ** 4 / 5, axis=1)[:, ::-1]
    parts = random.random((CHUNK, CATEGORIES)) ** 6
    return Outputs(
        random.integers(0, ITEMS, (CHUNK, 20)),
        np.ascontiguousarray(shares, dtype=np.float32),
        (parts / parts.sum(1, keepdims=True)).astype(np.float32),
        random.normal(size=(CHUNK, 2)).astype(np.float32),
    )


def main() -> None:
    """Print a table for short and for full histories."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not native.AVAILABLE:
        raise SystemExit(f"no native core: {native.REASON}")
    for history in (8, 50):
        timer = Timer(options.users)
        stages = Stages(log(options.users, history), options.users, timer)
        for _ in range(options.rounds):
            reference, ours = stages.python(), stages.native()
            same = [theirs == made for theirs, made in zip(reference, ours, strict=True)]
            assert all(same), f"they made different bytes: {same}"
        _print(history, timer)


def _print(history: int, timer: Timer) -> None:
    print(f"\n{history} actions in a user's history; µs of CPU an event, median")
    print(f"{'':40} {PYTHON:>8} {CORE:>8}")
    for stage in dict.fromkeys(stage for stage, _ in timer.times_us):
        python_us, core_us = (timer.median_us(stage, by) for by in (PYTHON, CORE))
        print(f"{stage:40} {python_us:8.2f} {core_us:8.2f}  × {python_us / core_us:.1f}")


if __name__ == "__main__":
    main()
