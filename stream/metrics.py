"""Every metric of the worker: names, labels, units and buckets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from model.scorer import Quality
from stream.events import Reason
from stream.user_state import Outcome
from stream.version import VERSION

OUTCOMES: tuple[str, ...] = (*get_args(Outcome), "dead")
QUALITIES: tuple[str, ...] = get_args(Quality)
REASONS: tuple[str, ...] = get_args(Reason)
PLACEMENTS = ("murmur2", "other")  # murmur2 is Kafka's default partitioner
COMMIT_RESULTS = ("ok", "failed")
REBUILD_CAUSES = ("corrupt", "ahead", "old")
KNOWN = ("yes", "no")
RELOAD_RESULTS = ("ok", "refused")

# From 1 ms to an hour: at rest a score takes milliseconds, after an outage minutes. A quantile is
# read off between two bounds, so these are close wherever one is looked at: in an outage, too.
EVENT_TO_SCORE_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75),
    *(1, 1.5, 2, 2.5, 3.5, 5, 7.5, 10, 15, 20, 25, 30, 40, 50, 60, 75, 90, 120, 150, 180, 240),
    *(300, 400, 500, 600, 900, 1200, 1800, 2700, 3600),
)
BATCH_WAIT_S = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1, 2.5, 5, 10),
    *(20, 30, 45, 60, 90, 120, 180, 240, 300, 400, 600, 900, 1200, 1800, 2700, 3600),
)
INFERENCE_S = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30),
    *(60, 120, 300),  # with a --scoring-timeout-s above its default
)
BATCH_USERS = tuple(2**power for power in range(15))  # 1 … 16,384
RECOVERY_S = (
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    20,
    30,
    60,
    90,
    120,
    180,
    300,
    450,
    600,
    900,
    1800,
    3600,
)


class BatchHistogram(Collector):
    """A histogram that observes a whole batch of values at once.

    The client library's own takes some microseconds per value, as long as decoding an event does.
    Not thread-safe: observe on the event loop, which also serves /metrics.
    """

    def __init__(
        self, name: str, documentation: str, bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._bounds = np.asarray(bounds, dtype=np.float64)
        self._counts = np.zeros(len(bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float) -> None:
        """Count a value."""
        self.observe_many((value,))

    def observe_many(self, values: ArrayLike) -> None:
        """Count each value in the first bucket whose bound it does not exceed."""
        array = np.asarray(values, dtype=np.float64)
        # side="left" because a bucket includes its own bound: `le` is "less or equal".
        buckets = np.searchsorted(self._bounds, array, side="left")
        self._counts += np.bincount(buckets, minlength=len(self._counts))
        self._sum += float(array.sum())

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The name alone, so that the registry refuses a second histogram of this name."""
        return [HistogramMetricFamily(self._name, self._documentation)]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Cumulative counts per bucket, and the sum."""
        labels = [*(str(bound) for bound in self._bounds.tolist()), "+Inf"]
        counts = np.cumsum(self._counts).tolist()
        buckets = [(label, float(count)) for label, count in zip(labels, counts, strict=True)]
        yield HistogramMetricFamily(
            self._name, self._documentation, buckets=buckets, sum_value=self._sum
        )


class PartitionGauge:
    """A gauge with a series for each partition whose value is known."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._partitions: set[int] = set()

    def set(self, values: Mapping[int, float]) -> None:
        """Set the value of each partition, and drop the series of any other."""
        for partition in self._partitions.difference(values):
            self._gauge.remove(str(partition))
        for partition, value in values.items():
            self._gauge.labels(str(partition)).set(value)
        self._partitions = set(values)


class Metrics:
    """The metrics of one worker, on one registry.

    Counters are dictionaries from label value to child: a batch calls ``inc(n)`` on a child and
    looks up no labels. Every series starts at 0, so that a rate is right from the first event.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # series nobody reads
        self._registry = registry
        ProcessCollector(registry=registry)
        self._create_counters()
        self._create_histograms()
        self._create_gauges()

    def _create_counters(self) -> None:
        self.events = self._counters(
            "lately_events_total", "Events by what became of them.", "outcome", OUTCOMES
        )
        self.scores = self._counters(
            "lately_scores_total", "Scores the broker has acknowledged.", "quality", QUALITIES
        )
        self.scored_items = self._counters(
            "lately_scored_items_total",
            "Scored users, by whether the model knows the item of their newest action.",
            "known",
            KNOWN,
        )
        self.dead_letters = self._counters(
            "lately_dead_letters_total", "Messages set aside, by reason.", "reason", REASONS
        )
        self.duplicates_skipped = Counter(
            "lately_duplicates_skipped_total",
            "Events skipped because the state held them already: replays and producer duplicates.",
            registry=self._registry,
        )
        self.checked_keys = self._counters(
            "lately_checked_keys_total",
            "Keys by the partitioner that placed them; a sample, one per partition and batch.",
            "partitioner",
            PLACEMENTS,
        )
        self.expired_users = Counter(
            "lately_expired_users_total",
            "Users deleted because their last event is older than the time to live.",
            registry=self._registry,
        )
        self.commits = self._counters(
            "lately_commits_total", "Commits of source offsets.", "result", COMMIT_RESULTS
        )
        self.rebuilds = self._counters(
            "lately_rebuilds_total",
            "State directories wiped and rebuilt from the changelog.",
            "cause",
            REBUILD_CAUSES,
        )
        self.rebalances = Counter(
            "lately_rebalances_total",
            "Assignments of partitions by the group, the first one included.",
            registry=self._registry,
        )
        self.events_lost = Counter(
            "lately_events_lost_total",
            "Events that are never read: deleted, or passed over by offsets that a tool set.",
            registry=self._registry,
        )
        self.model_reloads = self._counters(
            "lately_model_reloads_total",
            "New artifacts that were put into service, or refused.",
            "result",
            RELOAD_RESULTS,
        )

    def _create_histograms(self) -> None:
        self.event_to_score = self._histogram(
            "lately_event_to_score_seconds",
            "From the record's timestamp to the broker's acknowledgement of its score.",
            EVENT_TO_SCORE_S,
        )
        self.batch_wait = self._histogram(
            "lately_batch_wait_seconds",
            "How long the oldest user of a batch waited for it to close.",
            BATCH_WAIT_S,
        )
        self.inference = self._histogram(
            "lately_inference_seconds",
            "Time to score one micro-batch, off the event loop.",
            INFERENCE_S,
        )
        self.batch_users = self._histogram(
            "lately_batch_users", "Users per micro-batch.", BATCH_USERS
        )
        self.recovery = self._histogram(
            "lately_recovery_seconds",
            "Time to bring the state up to the changelog after an assignment.",
            RECOVERY_S,
        )

    def _create_gauges(self) -> None:
        self.pending_users = self._gauge("lately_pending_users", "Users waiting for a batch.")
        self.oldest_unscored_age = self._gauge(
            "lately_oldest_unscored_event_age_seconds",
            "Age of the oldest event that is read but not yet scored; 0 when there is none.",
        )
        self.ready = self._gauge("lately_ready", "1 when /readyz says ready, else 0.")
        self.lag = self._by_partition(
            "lately_consumer_lag_records",
            "Records of the partition that are not safe yet: unread, or read and not yet on disk. "
            "Absent while the broker does not answer.",
        )
        self.committed_lag = self._by_partition(
            "lately_committed_lag_records",
            "Records between the group's committed offset and the end of the partition: what other "
            "tools call lag. Absent while the broker does not answer.",
        )
        self.lag_seconds = self._by_partition(
            "lately_consumer_lag_seconds",
            "Age of the oldest record that is not safe yet, 0 if there is none; while that one is "
            "unread, the age of the last one read. Absent while either is unknown.",
        )
        self._create_model_gauges()
        self._create_state_gauges()
        build = self._gauge("lately_build_info", "The version of Lately; always 1.", "version")
        build.labels(VERSION).set(1)

    def _create_model_gauges(self) -> None:
        self._model = self._gauge(
            "lately_model_info", "The model that scores; always 1.", "name", "version", "device"
        )
        # With a label, so that a model without a date has no series, and not one of 0.
        self._model_created = self._gauge(
            "lately_model_created_timestamp_seconds", "When the model was exported.", "version"
        )
        self.model_refused = self._gauge(
            "lately_model_refused",
            "1 while the artifact's folder holds a model that was refused, else 0.",
        )

    def _create_state_gauges(self) -> None:
        self.paused_partitions = self._gauge(
            "lately_paused_partitions",
            "Assigned partitions that are not read because too many users wait for a batch.",
        )
        self.cached_users = self._gauge("lately_cached_users", "Users decoded in memory.")
        self.stored_users = self._gauge(
            "lately_stored_users", "Users on disk, as RocksDB estimates their number."
        )
        self.state_bytes = self._gauge("lately_state_bytes", "Size of the state directory.")
        self.state_free_bytes = self._gauge(
            "lately_state_free_bytes", "Free space on the disk of the state directory."
        )

    def _counters(
        self, name: str, documentation: str, label: str, values: Sequence[str]
    ) -> dict[str, Counter]:
        family = Counter(name, documentation, [label], registry=self._registry)
        return {value: family.labels(value) for value in values}

    def _histogram(self, name: str, documentation: str, bounds: Sequence[float]) -> BatchHistogram:
        return BatchHistogram(name, documentation, bounds, self._registry)

    def _by_partition(self, name: str, documentation: str) -> PartitionGauge:
        return PartitionGauge(self._gauge(name, documentation, "partition"))

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(name, documentation, labels, registry=self._registry)

    def set_model(
        self, name: str, version: str, device: str, created_s: float | None = None
    ) -> None:
        """Set which model scores, on which device (``cpu``, ``cuda``), and when it was exported.

        ``created_s`` is in seconds since the epoch; None if it is unknown.
        """
        self._model.clear()
        self._model.labels(name, version, device).set(1)
        self._model_created.clear()
        if created_s is not None:
            self._model_created.labels(version).set(created_s)

    def render(self) -> bytes:
        """The registry in the Prometheus text format."""
        return generate_latest(self._registry)
