"""Thresholds of the alerts in deploy/prometheus/rules.yml, which panels show, too."""

LATE_S = 60
MANY_UNKNOWN = 0.5
