"""The Grafana dashboard, as code: ``python deploy/grafana/dashboard.py`` writes its JSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).parent / "dashboards" / "lately.json"
COLUMNS = 24  # Grafana's grid
DATASOURCE = {"type": "prometheus", "uid": "${DS}"}
HERE = '{instance=~"$instance"}'
MODEL_CREATED = "lately_model_created_timestamp_seconds"
# The thresholds of the alerts in deploy/prometheus/rules.yml.
LATE_S = 60
MANY_UNKNOWN = 0.5
GIB = 1 << 30
DAY_S = 86_400


Steps = tuple[tuple[float | None, str], ...]  # each colour counts from its value up


def _rising(warn: float, bad: float) -> Steps:
    """Green, yellow from ``warn``, red from ``bad``, where the alert is if there is one."""
    return ((None, "green"), (warn, "yellow"), (bad, "red"))


def _falling(warn: float, bad: float) -> Steps:
    """Green, yellow below ``warn``, red below ``bad``."""
    return ((None, "red"), (bad, "yellow"), (warn, "green"))


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: ``queries`` maps a legend to a PromQL expression; ``steps`` are its thresholds."""

    title: str
    description: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    steps: Steps = ()
    shows_legend: bool = False  # a stat that shows the legend in place of the value


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


def _rate(counter: str, by: str) -> str:
    return f"sum by ({by}) (rate({counter}{HERE}[$__rate_interval]))"


def _total(counter: str) -> str:
    return f"sum(rate({counter}{HERE}[$__rate_interval]))"


def _share(counter: str, match: str) -> str:
    """The share of a counter's increase that has these labels, over five minutes."""
    part = f"sum(increase({counter}{HERE[:-1]}, {match}}}[5m]))"
    return f"{part} / sum(increase({counter}{HERE}[5m]))"


def _quantile(quantile: float, histogram: str) -> str:
    return (
        f"histogram_quantile({quantile}, "
        f"sum by (le) (rate({histogram}_bucket{HERE}[$__rate_interval])))"
    )


def _quantiles(histogram: str) -> dict[str, str]:
    return {f"p{q * 100:.0f}": _quantile(q, histogram) for q in (0.5, 0.95, 0.99)}


NOW = Row(
    "Now",
    (
        Panel(
            "Workers ready",
            "Number of workers that are scoring; /readyz of the others gives the reason.",
            {"ready": f"sum(lately_ready{HERE})"},
            kind="stat",
            width=4,
            height=5,
            steps=((None, "red"), (1, "green")),
        ),
        Panel(
            "Events per second",
            "Events read, whatever their outcome.",
            {"events": _total("lately_events_total")},
            unit="reqps",
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            "Scores per second",
            "Scores that the broker has acknowledged.",
            {"scores": _total("lately_scores_total")},
            unit="reqps",
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            "Event to score, p99",
            "From an event's Kafka timestamp to the acknowledgement of its score.",
            {"p99": _quantile(0.99, "lately_event_to_score_seconds")},
            unit="s",
            kind="stat",
            width=4,
            height=5,
            steps=_rising(1, LATE_S),
        ),
        Panel(
            "Oldest unscored event",
            "Age of the oldest event that was read but not yet scored.",
            {"age": f"max(lately_oldest_unscored_event_age_seconds{HERE})"},
            unit="s",
            kind="stat",
            width=4,
            height=5,
            steps=_rising(10, LATE_S),
        ),
        Panel(
            "Lag",
            "Age of the oldest record in the events topic that is not yet processed.",
            {"lag": f"max(lately_consumer_lag_seconds{HERE})"},
            unit="s",
            kind="stat",
            width=4,
            height=5,
            steps=_rising(10, LATE_S),
        ),
        Panel(
            "Alerts",
            "Alerts that fire or are about to; docs/operations.md says what to look at first.",
            {},
            kind="alertlist",
            width=8,
            height=6,
        ),
        Panel(
            "Model age",
            "Time since the model in service was exported.",
            {"{{version}}": f"time() - max by (version) ({MODEL_CREATED}{HERE})"},
            unit="s",
            kind="stat",
            width=4,
            height=6,
            steps=_rising(14 * DAY_S, 60 * DAY_S),
        ),
        Panel(
            "Model refused",
            "Workers whose artifact folder holds a model that was refused; the log says why.",
            {"refused": f"sum(lately_model_refused{HERE})"},
            kind="stat",
            width=4,
            height=6,
            steps=((None, "green"), (1, "red")),
        ),
        Panel(
            "Free disk",
            "Free space for the state, on the fullest disk.",
            {"free": f"min(lately_state_free_bytes{HERE})"},
            unit="bytes",
            kind="stat",
            width=4,
            height=6,
            steps=_falling(4 * GIB, GIB),
        ),
        Panel(
            "Version",
            "The versions of Lately that run.",
            {"{{version}}": f"count by (version) (lately_build_info{HERE})"},
            kind="stat",
            width=4,
            height=6,
            shows_legend=True,
        ),
    ),
)

EVENTS = Row(
    "Events",
    (
        Panel(
            "Events by outcome",
            "late: not added to the sequence; future: time set back; duplicate, replayed: skipped.",
            {"{{outcome}}": _rate("lately_events_total", "outcome")},
            unit="reqps",
        ),
        Panel(
            "Dead letters by reason",
            "Messages that can never be scored; they are in the dead letter topic.",
            {"{{reason}}": _rate("lately_dead_letters_total", "reason")},
            unit="reqps",
        ),
        Panel(
            "Duplicates skipped",
            "Replayed events after a restart, and events that a producer sent twice.",
            {"skipped": _total("lately_duplicates_skipped_total")},
            unit="reqps",
        ),
        Panel(
            "Keys by partitioner",
            "A sample. other: a producer does not use Kafka's default partitioner.",
            {"{{partitioner}}": _rate("lately_checked_keys_total", "partitioner")},
            unit="reqps",
        ),
    ),
)

SCORING = Row(
    "Scoring",
    (
        Panel(
            "Event to score",
            "From an event's Kafka timestamp to the acknowledgement of its score.",
            _quantiles("lately_event_to_score_seconds"),
            unit="s",
        ),
        Panel(
            "Batch wait",
            "How long the oldest user of a batch waited until it closed.",
            _quantiles("lately_batch_wait_seconds"),
            unit="s",
        ),
        Panel(
            "Inference",
            "Time to score one micro-batch.",
            _quantiles("lately_inference_seconds"),
            unit="s",
        ),
        Panel(
            "Users per batch",
            "Large batches are expected under load; in quiet hours users wait too long for them.",
            _quantiles("lately_batch_users"),
        ),
        Panel(
            "Pending users",
            "Users waiting for a batch. At the limit, partitions are paused.",
            {"{{instance}}": f"lately_pending_users{HERE}"},
        ),
        Panel(
            "Paused partitions",
            "Not read, because too many users wait for a batch; their backlog stays in Kafka.",
            {"{{instance}}": f"lately_paused_partitions{HERE}"},
            steps=((None, "green"), (1, "yellow")),
        ),
        Panel(
            "Scores by quality",
            "cold: too little is known about the shopper; degraded: shortened under overload.",
            {"{{quality}}": _rate("lately_scores_total", "quality")},
            unit="reqps",
        ),
        Panel(
            "Unknown and cold",
            "Shares of scores: the model does not know the newest item, or nothing of the shopper.",
            {
                "newest item unknown": _share("lately_scored_items_total", 'known="no"'),
                "cold": _share("lately_scores_total", 'quality="cold"'),
            },
            unit="percentunit",
            steps=_rising(0.3, MANY_UNKNOWN),
        ),
    ),
)

KAFKA = Row(
    "Kafka and state",
    (
        Panel(
            "Lag by partition",
            "If only one partition grows, one of its users has a flood of events.",
            {"{{partition}}": f"lately_consumer_lag_records{HERE}"},
        ),
        Panel(
            "Lag in seconds",
            "Age of the oldest record that is not yet safe, by partition; a gap is an outage.",
            {"{{partition}}": f"lately_consumer_lag_seconds{HERE}"},
            unit="s",
            steps=_rising(10, LATE_S),
        ),
        Panel(
            "Lag, processed and committed",
            "Records not yet safe, and those not yet committed, which other tools call lag.",
            {
                "not processed": f"sum(lately_consumer_lag_records{HERE})",
                "not committed": f"sum(lately_committed_lag_records{HERE})",
            },
        ),
        Panel(
            "Commits",
            "Commits of source offsets, about one per second while there are events.",
            {"{{result}}": _rate("lately_commits_total", "result")},
            unit="ops",
        ),
        Panel(
            "Rebalances",
            "Assignments of partitions over an hour; a restart is one, many mean flapping.",
            {"{{instance}}": f"increase(lately_rebalances_total{HERE}[1h])"},
            steps=_rising(4, 12),
        ),
        Panel(
            "Users held",
            "Decoded in memory, and on disk as RocksDB estimates.",
            {
                "in memory": f"sum(lately_cached_users{HERE})",
                "on disk": f"sum(lately_stored_users{HERE})",
            },
        ),
        Panel(
            "Disk",
            "Size of the state directory, and what is left on its disk.",
            {
                "{{instance}} state": f"lately_state_bytes{HERE}",
                "{{instance}} free": f"lately_state_free_bytes{HERE}",
            },
            unit="bytes",
        ),
        Panel(
            "Recovery, mean",
            "Time to restore the state from the changelog after an assignment, over an hour.",
            {
                "seconds": f"sum(increase(lately_recovery_seconds_sum{HERE}[1h]))"
                f" / sum(increase(lately_recovery_seconds_count{HERE}[1h]))"
            },
            unit="s",
        ),
        Panel(
            "Users expired",
            "Deleted because their last event is older than the time to live.",
            {"expired": _total("lately_expired_users_total")},
            unit="ops",
        ),
        Panel(
            "Events lost",
            "Total of events that were deleted from the topic before they were read.",
            {"{{instance}}": f"lately_events_lost_total{HERE}"},
        ),
        Panel(
            "State rebuilt",
            "Total of state directories discarded and rebuilt.",
            {"{{cause}}": f"sum by (cause) (lately_rebuilds_total{HERE})"},
        ),
    ),
)

PROCESS = Row(
    "Process",
    (
        Panel(
            "CPU",
            "Cores in use.",
            {"{{instance}}": f"rate(process_cpu_seconds_total{HERE}[$__rate_interval])"},
        ),
        Panel(
            "Memory",
            "Resident memory; after warm-up it should not grow.",
            {"{{instance}}": f"process_resident_memory_bytes{HERE}"},
            unit="bytes",
        ),
        Panel(
            "Model reloads",
            "Total of new artifacts taken into service or rejected.",
            {"{{result}}": f"sum by (result) (lately_model_reloads_total{HERE})"},
        ),
        Panel(
            "Model",
            "The model in service, and its device.",
            {"{{name}} {{version}} on {{device}}": f"lately_model_info{HERE}"},
        ),
    ),
)

ROWS = (NOW, EVENTS, SCORING, KAFKA, PROCESS)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return {
        "uid": "lately",
        "title": "Lately",
        "tags": ["lately"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "5s",
        "time": {"from": "now-15m", "to": "now"},
        "templating": {"list": [_datasource_variable(), _instance_variable()]},
        "panels": list(_panels()),
    }


def expressions() -> list[str]:
    """Every PromQL expression on the dashboard, variables unfilled."""
    return [expr for row in ROWS for panel in row.panels for expr in panel.queries.values()]


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in ROWS:
        number += 1
        yield _heading(row.title, number, y)
        y += 1
        x, tallest = 0, 0
        for panel in row.panels:
            if x + panel.width > COLUMNS:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            yield _panel(panel, number, x, y)
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def _heading(title: str, number: int, y: int) -> dict[str, Any]:
    grid = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
    return {"id": number, "type": "row", "title": title, "gridPos": grid, "panels": []}


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + i), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
        for i, (legend, expr) in enumerate(panel.queries.items())
    ]
    made: dict[str, Any] = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "targets": targets,
    }
    if panel.kind == "alertlist":
        made["options"] = _alert_list()
    elif panel.shows_legend:
        made["options"] = {"textMode": "name", "graphMode": "none"}
    return made


def _field(panel: Panel) -> dict[str, Any]:
    field: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.steps:
        steps = [{"value": value, "color": color} for value, color in panel.steps]
        field["thresholds"] = {"mode": "absolute", "steps": steps}
        if panel.kind == "stat":
            field["color"] = {"mode": "thresholds"}
        else:
            field["custom"] = {"thresholdsStyle": {"mode": "dashed"}}
    return field


def _alert_list() -> dict[str, Any]:
    """The alerts of Prometheus' rules, those that fire first; Grafana needs no rules of its own."""
    return {
        "viewMode": "list",
        "groupMode": "default",
        "alertName": "Lately",
        "datasource": "Prometheus",
        "maxItems": 20,
        "sortOrder": 3,  # by importance
        "stateFilter": {
            "firing": True,
            "pending": True,
            "noData": False,
            "normal": False,
            "error": True,
        },
    }


def _datasource_variable() -> dict[str, Any]:
    current = {"text": "Prometheus", "value": "lately-prometheus"}
    return {
        "name": "DS",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": current,
    }


def _instance_variable() -> dict[str, Any]:
    return {
        "name": "instance",
        "label": "Worker",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": "label_values(lately_ready, instance)", "refId": "instances"},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }


def main() -> None:
    """Write the dashboard beside this file."""
    OUTPUT.write_text(json.dumps(dashboard(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
