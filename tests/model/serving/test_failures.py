"""An engine that lacks memory is told from a sequence that it cannot score, by real errors."""

import errno
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper

from model.artifact.artifact import Artifact
from model.errors import ModelError, OutOfResourcesError, ScorerError
from model.features import Padded
from model.outputs import Outputs
from model.serving import onnx as onnx_engine
from model.serving.failures import is_resource
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer

EXBIBYTE = 2**60  # no machine has it


def session(op: str, arena: bool, **inputs: int) -> Any:
    """A graph of one operator."""
    puts = [helper.make_tensor_value_info(name, kind, [None]) for name, kind in inputs.items()]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node(op, list(inputs), ["y"])
    graph = helper.make_graph([node], "graph", puts, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.enable_cpu_mem_arena = arena
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def fill_by_onnx(arena: bool) -> None:
    run = session("ConstantOfShape", arena, n=TensorProto.INT64).run
    run(None, {"n": np.array([EXBIBYTE // 2**15])})  # times four bytes: 128 TiB


def gather_beyond_the_end() -> None:
    run = session("Gather", True, x=TensorProto.FLOAT, n=TensorProto.INT64).run
    run(None, {"x": np.zeros(3, np.float32), "n": np.array([7])})


def error_of(act: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - any engine's own
        act()
    assert isinstance(raised.value, Exception)
    return raised.value


@pytest.mark.parametrize(
    "act",
    [
        lambda: fill_by_onnx(arena=True),
        lambda: fill_by_onnx(arena=False),
        lambda: torch.empty(EXBIBYTE, dtype=torch.uint8),
        lambda: np.zeros(EXBIBYTE, np.uint8),
    ],
    ids=["onnx-arena", "onnx", "torch", "numpy"],
)
def test_an_allocation_that_fails_is_no_sequences_fault(act: Callable[[], Any]) -> None:
    assert is_resource(error_of(act))


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("CUBLAS failure 1: CUBLAS_STATUS_NOT_INITIALIZED ; GPU=0 ; hostname=a"),
        RuntimeError("CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED ; GPU=0 ; hostname=a"),
        RuntimeError("CUDA failure 700: an illegal memory access was encountered ; GPU=0"),
        RuntimeError("HIP error: the operation cannot be performed in the present state"),
        # ONNX Runtime's arena with a limit, then one that is cut up, its tensors and its kernels.
        RuntimeError("bfc_arena.cc:360 Available memory of 8 is smaller than requested bytes of 9"),
        RuntimeError("Failed to find a free memory block despite calling Extend. rounded_bytes=9"),
        RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Memory allocation failed. Size=9"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Allocation failed."),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("can't start new thread"),
        OSError(errno.EMFILE, os.strerror(errno.EMFILE)),
        OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)),
    ],
)
def test_what_a_device_or_the_system_lacks_is_no_sequences_fault(error: Exception) -> None:
    assert is_resource(error)


@pytest.mark.parametrize(
    "act",
    [
        gather_beyond_the_end,
        lambda: torch.zeros(3)[torch.tensor([7])],
        lambda: torch.zeros(2, 3) @ torch.zeros(2, 3),
        lambda: np.zeros(3)[7],
    ],
    ids=["onnx", "torch", "torch-shapes", "numpy"],
)
def test_an_input_that_an_engine_cannot_take_is_a_sequences_fault(act: Callable[[], Any]) -> None:
    assert not is_resource(error_of(act))


def test_onnx_engine_tells_memory_from_data(
    tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = OnnxScorer(tiny_artifact)

    class Session:
        def __init__(self, act: Callable[[], None]) -> None:
            self._act = act

        def run(self, *_: Any) -> list[Any]:
            self._act()
            return []

    monkeypatch.setitem(
        scorer._sessions, Outputs._fields, Session(lambda: fill_by_onnx(arena=True))
    )
    with pytest.raises(OutOfResourcesError, match="more memory"):
        scorer.score(scorer.sample(3))
    monkeypatch.setitem(scorer._sessions, Outputs._fields, Session(gather_beyond_the_end))
    with pytest.raises(ScorerError, match="export the artifact again") as raised:
        scorer.score(scorer.sample(3))
    assert not isinstance(raised.value, MemoryError)


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: fill_by_onnx(arena=False), "no memory to load model.onnx"),
        (gather_beyond_the_end, "cannot be loaded by ONNX Runtime"),
    ],
)
def test_a_graph_that_finds_no_memory_is_not_said_to_be_damaged(
    tiny_artifact: Artifact,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[[], None],
    told: str,
) -> None:
    monkeypatch.setattr(onnx_engine, "session_of", lambda _: act())

    with pytest.raises(ModelError, match=told) as raised:
        OnnxScorer(tiny_artifact)
    assert ("export the artifact again" in str(raised.value)) == ("cannot be loaded" in told)


def test_torch_engine_tells_memory_from_data(
    tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = TorchScorer(tiny_artifact)

    class Runner:
        def __init__(self, act: Callable[[], Any]) -> None:
            self._act = act

        shapes = scorer._runner.shapes

        def run(self, _: Padded) -> list[Any]:
            return [self._act()] * len(Outputs._fields)

    monkeypatch.setattr(scorer, "_runner", Runner(lambda: torch.empty(EXBIBYTE)))
    with pytest.raises(OutOfResourcesError, match=r"torch on cpu failed on \d sequences"):
        scorer.score(scorer.sample(3))
    monkeypatch.setattr(scorer, "_runner", Runner(lambda: torch.zeros(2, 3) @ torch.zeros(2, 3)))
    with pytest.raises(ScorerError) as raised:
        scorer.score(scorer.sample(3))
    assert not isinstance(raised.value, MemoryError)
