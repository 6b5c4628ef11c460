"""The row "Process": processor, memory, model."""

from deploy.grafana.dashboard.panel import Panel, Row
from deploy.grafana.dashboard.promql import HERE

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
