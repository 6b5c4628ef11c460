"""The commands explain, similar and together: their output as text and as JSON."""

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from model.artifact.artifact import Artifact
from model.cli import commands
from model.errors import DataError, ModelError
from model.sequence import Sequence
from model.serving import onnx
from model.understanding import similar
from model.understanding.explain import Contribution, Explanation

DEMO = Path(__file__).parents[3] / "model" / "demo_artifact"


def read(source: str, state_dir: Path | None, *, is_user: bool = False) -> Sequence:
    assert (source, state_dir) in {("u1", Path("state")), ("u1", None)}
    assert is_user == (state_dir is None)
    return Sequence(("i00001",), ("cart",), (1_790_000_000_000,), 1_790_000_000_000)


def run(*words: str | Path) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    commands(app, read)
    return CliRunner().invoke(app, [str(word) for word in words])


def rows(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, result.output
    return [line.split() for line in result.stdout.splitlines() if line]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    bought = [(user, item) for user in range(6) for item in ("a", "b")]
    path.write_text(
        "".join(
            json.dumps(
                {"user_id": f"u{user}", "item_id": item, "action": "buy", "ts": 1_790_000_000_000}
            )
            + "\n"
            for user, item in bought
        )
    )
    return path


@pytest.fixture
def titles(tmp_path: Path) -> Path:
    return tmp_path / "items.csv"


@pytest.fixture
def _explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the explanation, as the demo's graph need not give the whole distribution."""
    action = Contribution("i00001", "cart", 1_790_000_000_000, -0.125, {"buy": 0.25})
    found = Explanation("i00002", 0.5, 3, 600, {"buy": 0.75}, "full", 1_790_000_000_000, [action])
    monkeypatch.setattr(onnx, "OnnxScorer", lambda artifact: artifact.version)
    monkeypatch.setattr("model.understanding.explain.explain", lambda *_: found)


@pytest.mark.usefixtures("_explained")
def test_an_explanation_is_a_table_of_percentage_points() -> None:
    result = run("explain", "u1", "i00002", "--artifact", DEMO, "--state-dir", "state")

    assert rows(result)[0][:7] == ["i00002:", "50.00", "%,", "rank", "3", "of", "600"]
    assert rows(result)[-1] == [
        *("2026-09-21", "14:13:20"), "cart", "i00001", "-12.50", "+25.00",
    ]  # fmt: skip


@pytest.mark.usefixtures("_explained")
def test_an_explanation_is_printed_as_json() -> None:
    result = run("explain", "u1", "i00002", "--artifact", DEMO, "--state-dir", "state", "--json")

    found = json.loads(result.stdout)
    assert (found["probability"], found["actions"][0]["probability"]) == (0.5, -0.125)


def test_similar_items_are_a_table_or_json(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.zeros((600, 2), np.float32)
    vectors[:3] = np.array([[1, 0], [0, 1], [1, 0.01]], np.float32)
    monkeypatch.setattr(similar, "behaviour_vectors", lambda *_: vectors)
    names = Artifact.open(DEMO).read_catalogue().items

    table = rows(run("similar", names[0], "--artifact", DEMO, "--top", "1"))
    found = json.loads(run("similar", names[0], "--artifact", DEMO, "--json").stdout)

    assert (table[1][0], table[1][-1]) == (names[2], "1.0000")
    assert [neighbour["item_id"] for neighbour in found] == [names[2], names[1]]


def test_an_unknown_kind_of_similarity_is_a_usage_error() -> None:
    result = run("similar", "i1", "--artifact", DEMO, "--by", "taste")

    assert result.exit_code == 2
    assert "behaviour, text, both" in result.output


def test_what_is_bought_together_is_a_table_or_json(log: Path) -> None:
    assert rows(run("together", log))[-1] == [
        "a",
        "b",
        "6",
        "100.00",
        "%",
        "100.0",
        "%",
        "1.0",
        "0.0",
    ]

    found = json.loads(run("together", log, "--json").stdout)
    assert found["baskets"] == 6
    assert found["pairs"][0]["baskets"] == 6


def test_titles_stand_beside_ids_where_they_are_known(
    log: Path, titles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.eye(600, 2, dtype=np.float32)
    vectors[2] = [1, 0.01]
    monkeypatch.setattr(similar, "behaviour_vectors", lambda *_: vectors)
    names = Artifact.open(DEMO).read_catalogue().items
    titles.write_text(f"item_id,title\na,Blue lamp\n{names[2]},{'Long ' * 20}\n")
    asked = ("similar", names[0], "--artifact", DEMO, "--top", "1", "--items", titles)

    pairs = run("together", log, "--items", titles)
    alike = run(*asked).stdout.splitlines()

    assert pairs.stdout.splitlines()[-1].startswith("a Blue lamp  b ")
    assert alike[0].split() == ["item", "title", "category", "cosine"]
    assert "  Long Long Long Long Long Long Long Long…  " in alike[1]
    assert json.loads(run(*asked, "--json").stdout)[0]["title"] == ("Long " * 20)
    found = json.loads(run("together", log, "--items", titles, "--json").stdout)["pairs"][0]
    assert (found["first_title"], found["second_title"]) == ("Blue lamp", None)


@pytest.mark.usefixtures("_explained")
def test_an_explanation_of_a_user_has_titles_too(titles: Path) -> None:
    titles.write_text("item_id,title\ni00001,Red chair\ni00002,Blue lamp\n")
    asked = ("explain", "--user", "u1", "i00002", "--artifact", DEMO, "--items", titles)

    first, *_, last = run(*asked).stdout.splitlines()
    found = json.loads(run(*asked, "--json").stdout)

    assert first.startswith("i00002 Blue lamp: 50.00 %")
    assert last.split()[2:6] == ["cart", "i00001", "Red", "chair"]
    assert (found["title"], found["actions"][0]["title"]) == ("Blue lamp", "Red chair")


@pytest.mark.parametrize("words", [("i00002",), ("--user", "u1", "file.jsonl", "i00002")])
def test_explain_takes_a_file_or_a_user(words: tuple[str, ...]) -> None:
    result = run("explain", *words, "--artifact", DEMO)

    assert result.exit_code == 2
    assert "FILE ITEM, or --user ID and ITEM" in " ".join(result.output.replace("│", " ").split())


def test_pairs_in_too_few_baskets_are_left_out(log: Path) -> None:
    result = run("together", log, "--min-count", "7")

    assert result.stdout == "no pair is in at least 7 of 6 baskets\n"
    error = run("together", log, "--item", "z").exception
    assert isinstance(error, DataError) and isinstance(error, ModelError)


WIDE = "服务器机械键盘" * 5


@pytest.mark.parametrize(
    "title",
    ["[/x]", "\x1b[31mred", "\u202egnp.exe", "two  \n lines", WIDE, "e\u0301" * 60, "x" * 300,
     "👩\u200d🚀"],
)  # fmt: skip
def test_figures_stay_in_their_columns_whatever_a_title_is(
    log: Path, titles: Path, title: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.eye(600, 2, dtype=np.float32)
    vectors[2] = [1, 0.01]
    monkeypatch.setattr(similar, "behaviour_vectors", lambda *_: vectors)
    names = Artifact.open(DEMO).read_catalogue().items
    lines = [{"item_id": item, "title": title} for item in ("a", names[2])]
    # The second neighbour has no title.
    titles = titles.with_suffix(".jsonl")
    titles.write_text("".join(json.dumps(line) + "\n" for line in lines))
    asked = ("similar", names[0], "--artifact", DEMO, "--top", "2", "--items", titles)

    tables = [run(*asked).stdout, run("together", log, "--items", titles).stdout]

    for table in tables:
        rows = [row for row in table.splitlines() if "  " in row]
        assert all(row.isprintable() or "\u200d" in row for row in rows)
        assert len({cell_len(row) for row in rows}) == 1
        assert max(cell_len(row) for row in rows) <= 130
