"""The kernel beside ONNX Runtime on the same scores: ``python -m benchmarks.kernel``.

Both multiply a batch of queries with all item vectors and take the best 20; the kernel also gives
each normaliser, as the softmax does. One thread; rounds alternate, and CPU time is reported.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks import results
from benchmarks.results import Row
from benchmarks.summary import by, figure
from model import native
from model.outputs import Reals

COUNT = 20
TEMPERATURE = 14.0  # the length of a query, as at the start of training
MULTIPLY, SOFTMAX = "ONNX Runtime, MatMul + TopK", "ONNX Runtime, MatMul + Softmax + TopK"


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the times."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel", description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[50_000, 500_000, 1_000_000])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--users", type=int, nargs="+", default=[1, 64, 256], help="in a batch")
    parser.add_argument("--rounds", type=int, default=7)
    results.add_option(parser)
    options = parser.parse_args(arguments)
    if not native.AVAILABLE:
        print(f"no native core: {native.REASON}", file=sys.stderr)
        return 1
    rows: list[Row] = []
    for items in options.items:
        for users in options.users:
            found = measure(items, options.width, users, options.rounds)
            show(found)
            rows += found
    print(results.Result.now("kernel", rows).save(options.results), file=sys.stderr)
    return 0


def measure(items: int, width: int, users: int, rounds: int) -> list[Row]:
    """CPU time of each engine in each round, in microseconds a user."""
    draw = np.random.default_rng(0)
    vectors = _unit(draw.normal(size=(items, width)))
    biases = (draw.normal(size=items) / 2).astype(np.float32)
    queries = TEMPERATURE * _unit(draw.normal(size=(users, width)))
    with_one = np.append(queries, np.ones((users, 1), np.float32), axis=1)
    table = np.append(vectors, biases[:, None], axis=1).T.copy()
    jobs: dict[str, Callable[[], Any]] = {
        MULTIPLY: partial(_session(table, softmax=False).run, None, {"queries": with_one}),
        SOFTMAX: partial(_session(table, softmax=True).run, None, {"queries": with_one}),
    }
    for name in native.core.instruction_sets()[:-1]:  # the last one is plain Rust
        own = native.core.ItemTable(vectors, biases, None, name)
        jobs[f"kernel, {name}"] = partial(own.scores, queries, COUNT)
    _check(jobs)
    rows = []
    common = {"items": items, "width": width, "users": users}
    repeats = max(1, 2_000_000 // (items * users))  # a clock tick is not to count
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            started = time.process_time()
            for _ in range(repeats):
                job()
            cpu_us = (time.process_time() - started) / repeats / users * 1e6
            if turn:  # the first warms up
                rows.append({"round": turn, "engine": name, **common, "cpu_us": cpu_us})
    return rows


def show(rows: Sequence[Row]) -> None:
    """Print the median times, the factor against the softmax, and the rate of the multiply."""
    items, width, users = (rows[0][field] for field in ("items", "width", "users"))
    print(f"{items} items, width {width}, {users} users a batch")
    each_us = {name: figure(own, "cpu_us").median for name, own in by(rows, "engine").items()}
    for name, value in each_us.items():
        rate = 2 * items * width / value / 1e3
        factor = each_us[SOFTMAX] / value
        print(f"  {name:<40} {value:>10,.1f} µs {factor:>6.2f}× {rate:>6.0f} GFLOP/s")


def _check(jobs: dict[str, Callable[[], Any]]) -> None:
    """All engines name the same items, but for ties."""
    values = np.sort(jobs[MULTIPLY]()[0], axis=1)
    for name, job in jobs.items():
        if name.startswith("kernel"):
            found = np.frombuffer(job()[0][1], np.float32).reshape(values.shape)
            assert np.abs(np.sort(found, axis=1) - values).max() < 1e-4, name


def _unit(vectors: np.ndarray) -> Reals:
    found: Reals = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return found


def _session(table: Reals, *, softmax: bool) -> onnxruntime.InferenceSession:
    width = len(table)
    nodes = [helper.make_node("MatMul", ["queries", "table"], ["scores"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["scores"], ["shares"], axis=1))
    ranked = "shares" if softmax else "scores"
    nodes.append(helper.make_node("TopK", [ranked, "count"], ["values", "items"], axis=1))
    queries = helper.make_tensor_value_info("queries", TensorProto.FLOAT, ["batch", width])
    values = helper.make_tensor_value_info("values", TensorProto.FLOAT, ["batch", COUNT])
    items = helper.make_tensor_value_info("items", TensorProto.INT64, ["batch", COUNT])
    weights = [
        numpy_helper.from_array(table, "table"),
        numpy_helper.from_array(np.array([COUNT]), "count"),
    ]
    graph = helper.make_graph(nodes, "top", [queries], [values, items], weights)
    opset = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


if __name__ == "__main__":
    sys.exit(main())
