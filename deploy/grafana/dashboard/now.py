"""The row "Now": whether all is well, at a glance."""

from deploy.grafana.dashboard.panel import Panel, Row, falling, rising
from deploy.grafana.dashboard.promql import HERE, quantile, total
from deploy.grafana.dashboard.thresholds import LATE_S

MODEL_CREATED = "lately_model_created_timestamp_seconds"
GIB = 1 << 30
DAY_S = 86_400

NOW = Row(
    "Now",
    (
        Panel(
            "Workers ready",
            "Number of workers that are scoring; /readyz of the others gives the reason.",
            {"ready": f"sum(lately_ready{HERE}) or vector(0)"},
            kind="stat",
            width=4,
            height=5,
            steps=((None, "red"), (1, "green")),
        ),
        Panel(
            "Events per second",
            "Events read, whatever their outcome.",
            {"events": total("lately_events_total")},
            unit="reqps",
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            "Scores per second",
            "Scores that the broker has acknowledged.",
            {"scores": total("lately_scores_total")},
            unit="reqps",
            kind="stat",
            width=4,
            height=5,
        ),
        Panel(
            "Event to score, p99",
            "From an event's Kafka timestamp to the acknowledgement of its score.",
            {"p99": quantile(0.99, "lately_event_to_score_seconds")},
            unit="s",
            kind="stat",
            width=4,
            height=5,
            steps=rising(1, LATE_S),
        ),
        Panel(
            "Oldest unscored event",
            "Age of the oldest event that was read but not yet scored.",
            {"age": f"max(lately_oldest_unscored_event_age_seconds{HERE})"},
            unit="s",
            kind="stat",
            width=4,
            height=5,
            steps=rising(10, LATE_S),
        ),
        Panel(
            "Lag",
            "Age of the oldest record in the events topic that is not yet processed.",
            {"lag": f"max(lately_consumer_lag_seconds{HERE})"},
            unit="s",
            kind="stat",
            width=4,
            height=5,
            steps=rising(10, LATE_S),
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
            steps=rising(14 * DAY_S, 60 * DAY_S),
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
            steps=falling(4 * GIB, GIB),
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
