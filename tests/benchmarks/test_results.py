"""The results files: what is written is read, and says where it was taken."""

import json
from pathlib import Path

from benchmarks import results

ROWS = [{"engine": "Lately", "cpu_us": 2.5}, {"engine": "Quix Streams", "cpu_us": 25.0}]


def test_a_saved_result_is_loaded_as_it_was(tmp_path: Path) -> None:
    taken = results.Result.now("engine", ROWS, {"Kafka Streams": "4.3.0"})
    path = taken.save(tmp_path / "new")

    assert path == tmp_path / "new" / "engine.json"
    assert results.load("engine", tmp_path / "new") == taken
    assert taken.rows == ROWS
    assert taken.versions["Kafka Streams"] == "4.3.0"


def test_the_file_names_all_that_is_needed_to_take_it_again(tmp_path: Path) -> None:
    found = json.loads(results.Result.now("engine", ROWS).save(tmp_path).read_text())

    assert set(found) == {"name", "machine", "versions", "command", "taken_at", "rows"}
    assert found["machine"]["cpus"] >= 1 and found["machine"]["memory_bytes"] > 0
    assert {"Python", "lately", "quixstreams"} <= set(found["versions"])
    assert found["command"].startswith("python ")


def test_what_was_not_measured_has_no_result(tmp_path: Path) -> None:
    assert results.load("engine", tmp_path) is None
