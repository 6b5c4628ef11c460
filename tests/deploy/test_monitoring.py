"""Dashboard and alerts read only what the worker exports, and Prometheus understands them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from deploy.grafana import dashboard
from deploy.grafana.dashboard import grafana_json
from deploy.grafana.dashboard.panel import Panel
from stream.metrics import Metrics
from tests.deploy.promql import metric_names

PROMETHEUS = Path(__file__).parents[2] / "deploy" / "prometheus"
# What does not come from stream.metrics: Prometheus itself, and the process, on Linux.
FOREIGN = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes"}


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def samples() -> list[Sample]:
    """A sample of every series that a worker may export."""
    metrics = Metrics(CollectorRegistry())
    for gauge in (metrics.lag, metrics.committed_lag, metrics.lag_seconds):
        gauge.set({0: 0})
    metrics.set_model("demo", "1", "cpu", 1_790_000_000.0)
    families = text_string_to_metric_families(metrics.render().decode())
    return [sample for family in families for sample in family.samples]


def exported() -> set[str]:
    return {sample.name for sample in samples()}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("lately_ready == 0", {"lately_ready"}),
        ('sum by (le) (rate(a_bucket{x="up"}[5m]))', {"a_bucket"}),
        ("sum(increase(a_sum[1h])) / sum(increase(a_count[1h])) > 60", {"a_sum", "a_count"}),
        ("a > 0 and on (job) b unless c offset 5m", {"a", "b", "c"}),
    ],
)
def test_the_names_in_an_expression_are_found(expression: str, expected: set[str]) -> None:
    assert metric_names(expression) == expected


@pytest.mark.parametrize("expression", dashboard.expressions())
def test_every_panel_reads_what_is_exported(expression: str) -> None:
    assert metric_names(expression) <= exported() | FOREIGN


# What Prometheus adds to each series.
TARGET = {"job", "instance"}


@pytest.mark.parametrize(
    "expression", [*dashboard.expressions(), *(alert["expr"] for alert in alerts())]
)
def test_every_label_that_is_read_is_exported_and_takes_that_value(expression: str) -> None:
    found: dict[str, dict[str, set[str]]] = {}
    for sample in samples():
        for label, value in sample.labels.items():
            found.setdefault(sample.name, {}).setdefault(label, set()).add(value)
    known = {label for name in metric_names(expression) for label in found.get(name, ())} | TARGET

    for name, text in re.findall(r"([a-z_]\w*)\{([^}]*)\}", expression):
        for label, relation, value in re.findall(r'(\w+)\s*(=~|!=|!~|=)\s*"([^"]*)"', text):
            if label not in TARGET:
                assert label in found[name]
                assert "~" in relation or value in found[name][label]
    for group in re.findall(r"\b(?:by|without|on)\s*\(([^)]*)\)", expression):
        assert {label.strip() for label in group.split(",")} <= known


@pytest.mark.parametrize(
    "panel", [p for row in dashboard.ROWS for p in row.panels if p.queries], ids=lambda p: p.title
)
def test_a_panel_has_the_unit_of_what_it_shows(panel: Panel) -> None:
    for expression in panel.queries.values():
        (name, *others) = metric_names(expression)
        if "rate(" in expression and "histogram" not in expression:
            expected = {"reqps", "ops"}
        elif "/" in expression:
            expected = {"percentunit"} if not others else {"s"}
        elif re.search(r"_seconds(_bucket)?$", name):
            expected = {"s"}
        else:
            expected = {"bytes"} if name.endswith("_bytes") else {"short"}
        assert panel.unit in expected or name.startswith("process_cpu")


@pytest.mark.parametrize(
    "panel", [p for row in dashboard.ROWS for p in row.panels if p.queries], ids=lambda p: p.title
)
def test_a_legend_names_labels_that_the_query_leaves(panel: Panel) -> None:
    for legend, expression in panel.queries.items():
        for label in re.findall(r"\{\{(\w+)\}\}", legend):
            grouped = re.findall(r"by \(([^)]*)\)", expression)
            if grouped:
                assert label in grouped[-1]
            else:
                (name,) = metric_names(expression)
                labels = {
                    key for sample in samples() if sample.name == name for key in sample.labels
                }
                assert label in labels | TARGET


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_is_seen_to_fire_and_to_end(alert: dict[str, Any]) -> None:
    named = f'alertname="{alert["alert"]}"'
    last: dict[str, bool] = {}
    for case in yaml.safe_load((PROMETHEUS / "rules.test.yml").read_text())["tests"]:
        checks = [
            *((t["expr"], t) for t in case.get("promql_expr_test", [])),
            *((f'alertname="{t["alertname"]}"', t) for t in case.get("alert_rule_test", [])),
        ]
        for expression, check in checks:
            if named in expression:
                values = [s["value"] for s in check.get("exp_samples", [])]
                fires = any(values) or bool(check.get("exp_alerts"))
                last = {"fired": last.get("fired", False) or fires, "ended": not fires}

    assert last == {"fired": True, "ended": True}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_every_alert_reads_what_is_exported_and_says_what_to_do(alert: dict[str, Any]) -> None:
    assert metric_names(alert["expr"]) <= exported() | FOREIGN
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert set(alert["annotations"]) == {"summary", "description"}


def test_every_metric_we_export_is_on_the_dashboard_or_in_an_alert() -> None:
    read = {
        name
        for text in (*dashboard.expressions(), *(alert["expr"] for alert in alerts()))
        for name in metric_names(text)
    }
    parts = ("_bucket", "_sum", "_count")
    ours = {name for name in exported() if name.startswith("lately_") and not name.endswith(parts)}

    assert ours <= read


def test_the_dashboard_in_the_tree_is_the_one_the_code_makes() -> None:
    assert json.loads(dashboard.OUTPUT.read_text()) == dashboard.dashboard()


def threshold(name: str) -> float:
    """The number with which the first comparison of an alert ends; 2^30 is a gibibyte."""
    (expression,) = [alert["expr"] for alert in alerts() if alert["alert"] == name]
    (number, *_) = re.findall(r"(?:==|<|>) ([\d.^]+)", expression)
    return float(1 << 30 if number == "2^30" else number)


@pytest.mark.parametrize(
    ("title", "alert"),
    [
        ("Oldest unscored event", "LatelyScoresLate"),
        ("Unknown and cold", "LatelyItemsUnknown"),
        ("Unknown and cold", "LatelyScoresCold"),
        ("Model refused", "LatelyModelRefused"),
        ("Free disk", "LatelyDiskLow"),
    ],
)
def test_a_panel_turns_red_where_its_alert_fires(title: str, alert: str) -> None:
    (panel,) = [panel for row in dashboard.ROWS for panel in row.panels if panel.title == title]
    place = [colour for _, colour in panel.steps].index("red")

    # Red from its value up, or, as the first colour, up to the value of the next one.
    assert panel.steps[place or 1][0] == threshold(alert)


def test_thresholds_rise_from_the_first_colour_and_alerts_are_listed() -> None:
    panels = dashboard.dashboard()["panels"]
    stepped = [p for p in panels if "thresholds" in p.get("fieldConfig", {}).get("defaults", {})]

    assert len(stepped) >= 10
    for panel in stepped:
        values = [step["value"] for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]]
        assert values[0] is None
        assert values[1:] == sorted(set(values[1:]))
    (listed,) = [panel for panel in panels if panel["type"] == "alertlist"]
    assert listed["targets"] == []
    assert all(alert["alert"].startswith(listed["options"]["alertName"]) for alert in alerts())


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard.dashboard()["panels"]:
        grid = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert max(x for x, _ in cells) < grafana_json.COLUMNS
        assert not cells & taken
        taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (package prometheus)")
@pytest.mark.parametrize(
    "check",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules.test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts(check: tuple[str, str, str]) -> None:
    command = ["promtool", *check[:2], str(PROMETHEUS / check[2])]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout + result.stderr
