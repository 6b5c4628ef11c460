"""The memory check: a log that does not fit into memory is rejected before it is read."""

from pathlib import Path

import psutil
import pytest

from model.data import memory
from model.data.log import EventLog
from model.errors import DataError

ROW = "u,i,click,1700000000000\n"


def test_a_log_that_does_not_fit_is_rejected_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("user_id,item_id,action,ts\n" + 1_000 * ROW)
    monkeypatch.setattr(memory, "free_bytes", lambda: 1_000 * memory.BYTES_A_ROW - 1)

    with pytest.raises(DataError, match=r"1,000 rows take about 0\.0 GB") as caught:
        EventLog.open([log])
    assert "\n" not in str(caught.value)
    assert "give a shorter period" in str(caught.value)

    monkeypatch.setattr(memory, "free_bytes", lambda: 1_000 * memory.BYTES_A_ROW)
    assert EventLog.open([log]).rows == 1_000


@pytest.mark.parametrize(
    ("limit", "left"),
    [("max\n", None), ("5000000\n", 3_000_000), ("9000000000000000000\n", None)],
)
def test_a_containers_limit_applies_if_it_leaves_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, left: int | None
) -> None:
    for name, content in (("LIMIT", limit), ("USED", "2000000\n")):
        (tmp_path / name).write_text(content)
        monkeypatch.setattr(memory, name, tmp_path / name)
    machine = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)

    assert memory.free_bytes() == (machine.available if left is None else left)


def test_without_limits_the_machines_free_memory_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "LIMIT", tmp_path / "none")
    machine = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: machine)

    assert memory.free_bytes() == machine.available
