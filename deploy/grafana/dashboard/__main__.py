"""Writes the dashboard."""

import json

from deploy.grafana.dashboard import OUTPUT, dashboard

OUTPUT.write_text(json.dumps(dashboard(), indent=2) + "\n", encoding="utf-8")
