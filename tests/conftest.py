"""What all tests share: the order of their files, and what the garbage collector looks at."""

import gc

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files that may take long first, so that none of them ends a run."""
    timeouts_s: dict[object, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        timeout_s = mark.args[0] if mark else 0.0
        timeouts_s[item.path] = max(timeout_s, timeouts_s.get(item.path, 0.0))
    items.sort(key=lambda item: timeouts_s[item.path], reverse=True)


def pytest_collection_finish() -> None:
    """Leave the libraries out of each later collection: a store collects whenever it closes."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let the libraries take their leave."""
    gc.unfreeze()
