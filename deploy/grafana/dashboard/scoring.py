"""The row "Scoring": batches, latencies, and how good the scores can be."""

from deploy.grafana.dashboard.panel import Panel, Row, rising
from deploy.grafana.dashboard.promql import HERE, quantiles, rate, share
from deploy.grafana.dashboard.thresholds import MANY_UNKNOWN

SCORING = Row(
    "Scoring",
    (
        Panel(
            "Event to score",
            "From an event's Kafka timestamp to the acknowledgement of its score.",
            quantiles("lately_event_to_score_seconds"),
            unit="s",
        ),
        Panel(
            "Batch wait",
            "How long the oldest user of a batch waited until it closed.",
            quantiles("lately_batch_wait_seconds"),
            unit="s",
        ),
        Panel(
            "Inference",
            "Time to score one micro-batch.",
            quantiles("lately_inference_seconds"),
            unit="s",
        ),
        Panel(
            "Users per batch",
            "Large batches are expected under load; in quiet hours users wait too long for them.",
            quantiles("lately_batch_users"),
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
            {"{{quality}}": rate("lately_scores_total", "quality")},
            unit="reqps",
        ),
        Panel(
            "Unknown and cold",
            "Shares of scores: the model does not know the newest item, or nothing of the shopper.",
            {
                "newest item unknown": share("lately_scored_items_total", 'known="no"'),
                "cold": share("lately_scores_total", 'quality="cold"'),
            },
            unit="percentunit",
            steps=rising(0.3, MANY_UNKNOWN),
        ),
    ),
)
