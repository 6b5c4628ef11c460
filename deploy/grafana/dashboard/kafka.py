"""The row "Kafka and state": lag, commits, recovery, disk."""

from deploy.grafana.dashboard.panel import Panel, Row, rising
from deploy.grafana.dashboard.promql import HERE, rate, total
from deploy.grafana.dashboard.thresholds import LATE_S

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
            steps=rising(10, LATE_S),
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
            {"{{result}}": rate("lately_commits_total", "result")},
            unit="ops",
        ),
        Panel(
            "Rebalances",
            "Assignments of partitions over an hour; a restart is one, many mean flapping.",
            {"{{instance}}": f"increase(lately_rebalances_total{HERE}[1h])"},
            steps=rising(4, 12),
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
            {"expired": total("lately_expired_users_total")},
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
