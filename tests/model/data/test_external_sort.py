"""The external sort: entries are sorted by time, however many fit into memory."""

import random
from pathlib import Path

from model.data.external_sort import in_time_order


def test_more_entries_than_fit_into_memory_are_sorted(tmp_path: Path) -> None:
    order = random.Random(1)
    entries = [(order.randrange(100), b"%d" % n) for n in range(1000)]

    ordered = list(in_time_order(entries, tmp_path, run_bytes=2_000, max_runs=3))

    assert ordered == sorted(entries, key=lambda entry: entry[0])  # sorted() is stable, too


def test_sorted_entries_need_one_file(tmp_path: Path) -> None:
    entries = [(ts, b"") for ts in range(100)]

    assert list(in_time_order(entries, tmp_path, run_bytes=1_000)) == entries
    assert len(list(tmp_path.iterdir())) == 1


def test_entries_that_fit_into_memory_need_no_file(tmp_path: Path) -> None:
    assert list(in_time_order([(2, b"b"), (-1, b"a")], tmp_path)) == [(-1, b"a"), (2, b"b")]
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_sorted_into_nothing(tmp_path: Path) -> None:
    assert list(in_time_order([], tmp_path)) == []
