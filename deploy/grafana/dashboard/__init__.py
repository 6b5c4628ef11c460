"""The Grafana dashboard, as code: ``python -m deploy.grafana.dashboard`` writes its JSON.

A row of panels is a module; `grafana_json` makes what Grafana reads of them.
"""

from pathlib import Path
from typing import Any

from deploy.grafana.dashboard import grafana_json
from deploy.grafana.dashboard.events import EVENTS
from deploy.grafana.dashboard.kafka import KAFKA
from deploy.grafana.dashboard.now import NOW
from deploy.grafana.dashboard.process import PROCESS
from deploy.grafana.dashboard.scoring import SCORING

OUTPUT = Path(__file__).parents[1] / "dashboards" / "lately.json"
ROWS = (NOW, EVENTS, SCORING, KAFKA, PROCESS)


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    return grafana_json.dashboard(ROWS)


def expressions() -> list[str]:
    """Every PromQL expression on the dashboard, variables unfilled."""
    return [expr for row in ROWS for panel in row.panels for expr in panel.queries.values()]
