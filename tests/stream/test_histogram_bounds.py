"""The bounds of every histogram rise, as Prometheus must have it, and the last one is open."""

import math
import re

import pytest
from prometheus_client import CollectorRegistry

from stream.metrics import Metrics

LE = re.compile(r'^(\w+)_bucket\{le="([^"]+)"\} ', re.MULTILINE)


def bounds() -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, bound in LE.findall(Metrics(CollectorRegistry()).render().decode()):
        found.setdefault(name, []).append(float(bound))
    return found


@pytest.mark.parametrize("name", sorted(bounds()))
def test_bounds_rise_from_above_nothing_to_infinity(name: str) -> None:
    of_this = bounds()[name]

    assert len(of_this) > 2
    assert of_this == sorted(set(of_this))
    assert of_this[0] > 0
    assert of_this[-1] == math.inf


def test_there_are_histograms_to_look_at() -> None:
    assert {name for name in bounds() if name.endswith("_seconds")} == {
        "lately_event_to_score_seconds",
        "lately_batch_wait_seconds",
        "lately_inference_seconds",
        "lately_recovery_seconds",
    }
