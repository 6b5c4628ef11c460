"""The size of a state directory is that of its files, in all folders below it."""

import math
from pathlib import Path

import pytest

from stream.storage.disk_usage import measure


def test_files_of_all_folders_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "shop" / "partition-0").mkdir(parents=True)
    (tmp_path / "instance_id").write_bytes(b"x" * 32)
    (tmp_path / "shop" / "partition-0" / "000001.sst").write_bytes(b"x" * 1_000)

    usage = measure(tmp_path)

    assert usage.state_bytes == 32 + 1_000
    assert usage.free_bytes > 0


def test_a_file_that_is_deleted_meanwhile_counts_as_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").write_bytes(b"x" * 7)
    listed = (str(tmp_path), list[str](), ["here", "compacted.sst"])
    monkeypatch.setattr("stream.storage.disk_usage.os.walk", lambda _: [listed])

    assert measure(tmp_path).state_bytes == 7


def test_a_directory_that_is_gone_is_not_a_number_and_no_error(tmp_path: Path) -> None:
    usage = measure(tmp_path / "gone")

    assert all(map(math.isnan, usage))
