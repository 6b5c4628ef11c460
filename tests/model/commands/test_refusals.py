"""What a command can refuse at once, it refuses before it imports torch."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import BadParameter

from model.commands.train_options import TrainOptions
from model.synthetic.demo_artifact import FOLDER
from tests.stream.forked_command import ForkedCommands

HEADER = "user_id,item_id,action,ts\n"
ROW = "u,i,click,1790000000000\n"
# The command, and after it which of the slow libraries it has imported.
CODE = """
try:
    main()
finally:
    print("imported", *{"torch", "transformers", "onnx"} & sys.modules.keys(), file=sys.stderr)
"""
Refused = Callable[..., None]


@pytest.fixture(scope="module")
def forked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkedCommands]:
    with ForkedCommands(tmp_path_factory.mktemp("forked"), code=CODE) as commands:
        yield commands


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that training would accept so far."""
    path = tmp_path / "events.csv"
    path.write_text(HEADER + ROW)
    return path


@pytest.fixture
def refused(forked: ForkedCommands) -> Refused:
    """Sees that a command line is refused with these words, and imports nothing slow."""

    def check(told: str, *words: str | Path) -> None:
        done = forked.run(*words)

        assert done.returncode in (1, 2), done.stderr
        said = " ".join(done.stderr.decode().replace("│", " ").split())
        assert told in said
        assert said.endswith("imported"), said
        assert done.stdout == b""

    return check


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("none.csv", None, "none.csv: no such file; name an event log"),
        ("log.txt", ROW, "log.txt: unknown file type"),
        ("empty.csv", "", "empty.csv: the file is empty"),
        ("foreign.csv", "customer,sku\na,b\n", "foreign.csv: no column user_id, item_id"),
        ("header.csv", HEADER, "header.csv: the log is empty"),
        ("rows.jsonl", '{"user_id": "u"}\n', "rows.jsonl"),
    ],
)
def test_train_refuses_a_file_before_it_imports_torch(
    name: str, content: str | None, told: str, log: Path, tmp_path: Path, refused: Refused
) -> None:
    """It is the second of two files."""
    if content is not None:
        (tmp_path / name).write_text(content)

    refused(told, "train", log, tmp_path / name, "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--out", "events.csv"), "events.csv: exists already"),
        (("--out", "events.csv/out"), "is no folder that may be written to"),
        (("--out", "new", "--json", "none/figures.json"), "figures.json: cannot be written"),
        (("--out", "new", "--items", "none.csv"), "none.csv: no such file"),
        (("--out", "new", "--encoder", "none"), "none: no such folder"),
        (("--out", "new", "--checkpoints", "events.csv"), "a file, expected a folder"),
        (("--out", "new", "--from", "none"), "none: manifest.json cannot be read"),
        (("--out", "new", "--dim", "7"), "--dim 7: expected an even number"),
        (("--out", "new", "--device", "abacus"), "--device abacus is not available"),
        (("--out", "new", "--intent", "buy=pay"), "pay is not among --actions"),
        (
            (
                "--out",
                "new",
            ),
            "cannot be split by time",
        ),
    ],
)
def test_train_refuses_an_argument_before_it_imports_torch(
    words: tuple[str, ...], told: str, log: Path, tmp_path: Path, refused: Refused
) -> None:
    """``events.csv`` is the log."""
    files = ("events.csv", "none", "new")
    given = [str(tmp_path / word) if word.startswith(files) else word for word in words]

    refused(told, "train", log, *given)
    assert [path.name for path in tmp_path.iterdir()] == ["events.csv"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"minutes": math.nan}, "--minutes nan: expected a finite number"),
        ({"minutes": math.inf}, "--minutes inf: expected a finite number"),
        ({"held_out": math.nan}, "--held-out nan: expected a finite number"),
        ({"dp_epsilon": math.nan}, "--dp-epsilon nan: expected a finite number"),
        ({"dp_clip": math.inf}, "--dp-clip inf: expected a finite number"),
        ({"network": "path", "checkpoints": Path("c")}, "path is fitted in one go"),
        ({"actions": "click,"}, "expected names that are not empty"),
        ({"actions": "click,forget"}, "reserved for erasure"),
    ],
)
def test_an_option_that_would_do_nothing_or_anything_is_refused(
    options: dict[str, Any], told: str
) -> None:
    with pytest.raises(BadParameter, match=told):
        TrainOptions([], Path("out"), **options).check()


def test_extend_refuses_its_files_before_it_imports_torch(
    log: Path, tmp_path: Path, refused: Refused
) -> None:
    new = ("--out", tmp_path / "new")

    refused("manifest.json cannot be read", "artifact", "extend", tmp_path, "--items", log, *new)
    refused("none.csv", "artifact", "extend", FOLDER, "--items", tmp_path / "none.csv", *new)
    refused("exists already", "artifact", "extend", FOLDER, "--items", log, "--out", log)


def test_similar_needs_no_torch_at_all(forked: ForkedCommands) -> None:
    item = json.loads((FOLDER / "catalogue.json").read_text())["items"][0]

    done = forked.run("similar", item, "--artifact", FOLDER, "--json")

    assert done.stderr.split() == [b"imported"]
    assert len(json.loads(done.stdout)) == 10
