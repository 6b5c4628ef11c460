"""The ONNX Runtime session: one graph, one thread, no telemetry."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# From 1.29 on it reports every process and graph to its vendor, under an id of the machine,
# unless this is set when it is loaded (microsoft/onnxruntime#27379).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def session_of(graph: Path | bytes) -> "InferenceSession":
    """Load a graph, a file or its content, to run on one thread, which sleeps while it waits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A second thread gains little on a shared core, and one that spins while it waits takes the
    # core from Kafka and RocksDB: scale by workers.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
