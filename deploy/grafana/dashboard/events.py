"""The row "Events": what came in, and what became of it."""

from deploy.grafana.dashboard.panel import Panel, Row
from deploy.grafana.dashboard.promql import rate, total

EVENTS = Row(
    "Events",
    (
        Panel(
            "Events by outcome",
            "late: not added to the sequence; future: time set back; duplicate, replayed: skipped.",
            {"{{outcome}}": rate("lately_events_total", "outcome")},
            unit="reqps",
        ),
        Panel(
            "Dead letters by reason",
            "Messages that can never be scored; they are in the dead letter topic.",
            {"{{reason}}": rate("lately_dead_letters_total", "reason")},
            unit="reqps",
        ),
        Panel(
            "Duplicates skipped",
            "Replayed events after a restart, and events that a producer sent twice.",
            {"skipped": total("lately_duplicates_skipped_total")},
            unit="reqps",
        ),
        Panel(
            "Keys by partitioner",
            "A sample. other: a producer does not use Kafka's default partitioner.",
            {"{{partitioner}}": rate("lately_checked_keys_total", "partitioner")},
            unit="reqps",
        ),
    ),
)
