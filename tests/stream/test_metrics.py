"""The metrics that are exported, and that Prometheus's linter accepts them."""

import itertools
import json
import math
import re
import shutil
import subprocess
from importlib.resources import files

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from stream.metrics import QUALITIES, REASONS, BatchHistogram, Metrics
from stream.version import VERSION

BUCKET = re.compile(r'^(\w+)_bucket\{le="([^"]+)"\} ', re.MULTILINE)
# The names users build their dashboards on.
FIXED_NAMES = {
    "lately_events_total": {"outcome"},
    "lately_scores_total": {"quality"},
    "lately_scored_items_total": {"known"},
    "lately_dead_letters_total": {"reason"},
    "lately_duplicates_skipped_total": set(),
    "lately_checked_keys_total": {"partitioner"},
    "lately_expired_users_total": set(),
    "lately_event_to_score_seconds_count": set(),
    "lately_batch_wait_seconds_count": set(),
    "lately_inference_seconds_count": set(),
    "lately_batch_users_count": set(),
    "lately_pending_users": set(),
    "lately_consumer_lag_records": {"partition"},
    "lately_committed_lag_records": {"partition"},
    "lately_consumer_lag_seconds": {"partition"},
    "lately_oldest_unscored_event_age_seconds": set(),
    "lately_commits_total": {"result"},
    "lately_recovery_seconds_count": set(),
    "lately_rebuilds_total": {"cause"},
    "lately_model_reloads_total": {"result"},
    "lately_model_info": {"name", "version", "device"},
    "lately_model_created_timestamp_seconds": {"version"},
    "lately_model_refused": set(),
    "lately_build_info": {"version"},
    "lately_rebalances_total": set(),
    "lately_paused_partitions": set(),
    "lately_cached_users": set(),
    "lately_stored_users": set(),
    "lately_state_bytes": set(),
    "lately_state_free_bytes": set(),
}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def busy_metrics(registry: CollectorRegistry) -> Metrics:
    metrics = Metrics(registry)
    for gauge in (metrics.lag, metrics.committed_lag, metrics.lag_seconds):
        gauge.set({0: 5, 3: 0})
    metrics.set_model("demo", "0123456789ab", "cpu", 1_790_000_000.0)
    metrics.event_to_score.observe_many([0.01, 0.2])
    return metrics


def test_every_fixed_name_is_exported_with_its_labels(registry: CollectorRegistry) -> None:
    text = busy_metrics(registry).render().decode()
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)

    assert {name: labels.get(name) for name in FIXED_NAMES} == FIXED_NAMES


def test_no_label_has_a_value_that_a_message_brings(registry: CollectorRegistry) -> None:
    # Each label's values are ours: words of the code, numbers of partitions, the model.
    words = {"outcome", "quality", "reason", "result", "cause", "known", "partitioner"}
    ours = words | {"partition", "le"}
    text = busy_metrics(registry).render().decode()

    labels = {
        name
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        for name in sample.labels
    }

    assert labels - ours == {"name", "version", "device"}


def test_reasons_and_qualities_are_those_of_the_schemas() -> None:
    schemas = files("stream") / "schemas"
    dead = json.loads((schemas / "dead_letter.schema.json").read_text())
    score = json.loads((schemas / "score.schema.json").read_text())

    assert list(REASONS) == dead["properties"]["lately.reason"]["enum"]
    assert list(QUALITIES) == score["properties"]["quality"]["enum"]


def test_a_counter_that_nothing_moved_is_zero_and_not_absent(registry: CollectorRegistry) -> None:
    Metrics(registry)

    assert registry.get_sample_value("lately_events_total", {"outcome": "late"}) == 0


def test_a_value_on_a_bound_counts_in_that_bucket(registry: CollectorRegistry) -> None:
    histogram = BatchHistogram("waits_seconds", "Waits.", [0.1, 0.5], registry)

    histogram.observe_many([0.05, 0.1, 0.3, 0.5, 2.0])

    def cumulative(le: str) -> float | None:
        return registry.get_sample_value("waits_seconds_bucket", {"le": le})

    assert (cumulative("0.1"), cumulative("0.5"), cumulative("+Inf")) == (2, 2 + 2, 4 + 1)
    assert registry.get_sample_value("waits_seconds_count") == 5
    assert registry.get_sample_value("waits_seconds_sum") == pytest.approx(0.15 + 0.3 + 0.5 + 2.0)


def test_a_batch_counts_as_its_values_one_by_one(registry: CollectorRegistry) -> None:
    values = np.random.default_rng(7).exponential(0.2, size=1_000)
    whole = BatchHistogram("whole_seconds", "At once.", [0.1, 0.2, 0.4], registry)
    single = BatchHistogram("single_seconds", "One by one.", [0.1, 0.2, 0.4], registry)

    whole.observe_many(values)
    for value in values:
        single.observe(float(value))

    for le in ("0.1", "0.2", "0.4", "+Inf"):
        assert registry.get_sample_value("whole_seconds_bucket", {"le": le}) == (
            registry.get_sample_value("single_seconds_bucket", {"le": le})
        )


def test_an_empty_batch_changes_nothing(registry: CollectorRegistry) -> None:
    histogram = BatchHistogram("waits_seconds", "Waits.", [0.1], registry)

    histogram.observe_many([])

    assert registry.get_sample_value("waits_seconds_count") == 0


def test_a_second_histogram_of_one_name_is_refused(registry: CollectorRegistry) -> None:
    BatchHistogram("waits_seconds", "Waits.", [0.1], registry)

    with pytest.raises(ValueError, match="waits_seconds"):
        BatchHistogram("waits_seconds", "Waits.", [0.1], registry)


def histogram_bounds() -> dict[str, list[float]]:
    """The upper bounds of every histogram, in the order in which they are exported."""
    bounds: dict[str, list[float]] = {}
    for name, bound in BUCKET.findall(Metrics(CollectorRegistry()).render().decode()):
        bounds.setdefault(name, []).append(float(bound))
    return bounds


@pytest.mark.parametrize("name", sorted(histogram_bounds()))
def test_histogram_bounds_rise_from_above_zero_to_infinity(name: str) -> None:
    bounds = histogram_bounds()[name]

    assert len(bounds) > 2
    assert bounds == sorted(set(bounds))
    assert bounds[0] > 0
    assert bounds[-1] == math.inf


def quantile(name: str, q: float, registry: CollectorRegistry) -> float:
    """As Prometheus reads it off a histogram: linear between the bounds of its bucket."""
    text = generate_latest(registry).decode()
    buckets = [
        (float(bound), float(count))
        for series, bound, count in re.findall(
            r'^(\w+)_bucket\{le="(.+)"\} (.+)$', text, re.MULTILINE
        )
        if series == name
    ]
    rank = q * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            return (
                low if math.isinf(bound) else low + (bound - low) * (rank - below) / (count - below)
            )
        low, below = bound, count
    raise AssertionError("the last bucket holds everything")


@pytest.mark.parametrize("oldest_s", [1.3, 4, 12, 33, 68, 100, 200, 293, 550, 1_000, 3_300])
def test_p99_in_an_outage_is_near_what_it_was(oldest_s: float, registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)

    # An outage of this length: events arrive evenly meanwhile, and all are scored at its end.
    metrics.event_to_score.observe_many(np.linspace(0.01, oldest_s, 5_000))

    # Uniform, so the 99th percentile is at 99 % of the oldest. With bounds at 60 and 300 alone it
    # was 293 s where the oldest was 68.
    shown_s = quantile("lately_event_to_score_seconds", 0.99, registry)
    assert shown_s == pytest.approx(0.99 * oldest_s, rel=0.35)


OUTAGES_S = (26, 68, 100, 293, 700, 1_300, 2_000, 3_600)


@pytest.mark.parametrize(
    ("name", "waited_s"),
    [
        *itertools.product(("event_to_score", "batch_wait", "recovery"), OUTAGES_S),
        *itertools.product(("inference",), OUTAGES_S[:4]),  # one that takes longer ends the worker
    ],
)
def test_what_took_an_outage_is_shown_at_no_more_than_twice_its_time(
    name: str, waited_s: float, registry: CollectorRegistry
) -> None:
    """A batch waits for the broker as long as an event does: at 600 s its buckets had an end."""
    metrics = Metrics(registry)
    getattr(metrics, name).observe_many([waited_s] * 1_000)

    shown_s = quantile(f"lately_{name}_seconds", 0.99, registry)
    assert waited_s / 2 < shown_s <= 2 * waited_s


def test_p99_where_the_oldest_event_was_68_s_old(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)
    metrics.event_to_score.observe_many([68.0] * 1_000)

    assert quantile("lately_event_to_score_seconds", 0.99, registry) <= 75


def test_every_histogram_of_seconds_has_bounds() -> None:
    assert {name for name in histogram_bounds() if name.endswith("_seconds")} == {
        "lately_event_to_score_seconds",
        "lately_batch_wait_seconds",
        "lately_inference_seconds",
        "lately_recovery_seconds",
    }


def test_lag_of_a_partition_given_away_disappears(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)
    metrics.lag.set({0: 10, 1: 20})

    metrics.lag.set({1: 15})

    assert registry.get_sample_value("lately_consumer_lag_records", {"partition": "0"}) is None
    assert registry.get_sample_value("lately_consumer_lag_records", {"partition": "1"}) == 15


def test_a_new_model_replaces_the_old_one(registry: CollectorRegistry) -> None:
    metrics = Metrics(registry)
    metrics.set_model("demo", "1", "cpu")
    metrics.set_model("demo", "2", "cpu")

    versions = [
        sample.labels["version"]
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "lately_model_info"
    ]
    assert versions == ["2"]


def test_the_date_of_a_model_goes_with_it_and_an_unknown_one_is_no_date(
    registry: CollectorRegistry,
) -> None:
    metrics = Metrics(registry)

    def dates() -> dict[str, float]:
        return {
            sample.labels["version"]: sample.value
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "lately_model_created_timestamp_seconds"
        }

    assert dates() == {}
    metrics.set_model("demo", "1", "cpu", 100.0)
    assert dates() == {"1": 100.0}
    metrics.set_model("demo", "2", "cpu", 200.0)
    assert dates() == {"2": 200.0}
    metrics.set_model("null", "3", "cpu")
    assert dates() == {}


def test_the_version_is_that_of_the_package(registry: CollectorRegistry) -> None:
    Metrics(registry)

    assert registry.get_sample_value("lately_build_info", {"version": VERSION}) == 1
    assert re.match(r"\d+\.\d+", VERSION)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (package prometheus)")
def test_promtool_finds_nothing_to_say(registry: CollectorRegistry) -> None:
    metrics = busy_metrics(registry)

    lint = subprocess.run(
        ["promtool", "check", "metrics"], input=metrics.render(), capture_output=True, check=False
    )

    assert (lint.returncode, lint.stdout + lint.stderr) == (0, b"")
