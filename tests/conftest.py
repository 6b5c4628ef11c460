"""The order of the tests: files that may take long come first, so that none of them ends a run."""

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files by the time that their tests may take; the order within a file stays."""
    timeouts_s: dict[object, float] = {}
    for item in items:
        mark = item.get_closest_marker("timeout")
        timeout_s = mark.args[0] if mark else 0.0
        timeouts_s[item.path] = max(timeout_s, timeouts_s.get(item.path, 0.0))
    items.sort(key=lambda item: timeouts_s[item.path], reverse=True)
