"""The JSON that Grafana reads: panels laid out in its grid, and the variables."""

from collections.abc import Iterator, Sequence
from typing import Any

from deploy.grafana.dashboard.panel import Panel, Row

COLUMNS = 24  # Grafana's grid
DATASOURCE = {"type": "prometheus", "uid": "${DS}"}


def dashboard(rows: Sequence[Row]) -> dict[str, Any]:
    """The dashboard with these rows."""
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
        "panels": list(_panels(rows)),
    }


def _panels(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in rows:
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
