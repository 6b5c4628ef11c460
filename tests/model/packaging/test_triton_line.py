"""Training without a GPU says nothing of triton, and everything else that torch says."""

import importlib.util
import logging
import sys

import pytest
import torch  # noqa: F401  # the module below needs it

from model.packaging.export import without_triton_line

MODULE = "torch.utils.flop_counter"


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module's logger says, where triton is not installed."""
    monkeypatch.setitem(sys.modules, "triton", None)
    messages: list[str] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lambda record: messages.append(record.getMessage()))
    logger = logging.getLogger(MODULE)
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "disabled", False)
    return messages


def execute_module() -> None:
    """Execute torch's module as at its first import, which an export causes."""
    spec = importlib.util.find_spec(MODULE)
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_torch_says_that_triton_is_not_found(said: list[str]) -> None:
    execute_module()

    (line,) = said
    assert line.startswith("triton not found")


def test_the_line_is_not_said_during_an_export_and_any_other_is(said: list[str]) -> None:
    logger = logging.getLogger(MODULE)
    with without_triton_line():
        execute_module()
        logger.warning("another line")
    logger.warning("triton not found, said later")

    assert said == ["another line", "triton not found, said later"]
