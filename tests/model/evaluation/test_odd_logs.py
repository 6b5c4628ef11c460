"""The verdict of `evaluate` on logs and names that nobody would choose: sentences, no traceback."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from model.artifact import artifact as files
from model.artifact.artifact import ArtifactWriter
from model.artifact.calibration import Calibration
from model.config import ArtifactConfig
from model.scorer import Score
from tests.model.evaluation.test_run import DATA, OLD_MS, SELECTED_MS, log, run
from tests.model.shop_log import CATALOGUE, CONFIG, Spy

pytestmark = pytest.mark.timeout(400)

MANY = {f"u{n}": "abab" for n in range(40)}
# Half of them buy with their third event, and the horizon of all of them ends in the log.
BUYERS = {**MANY, **{f"v{n}": "ab" for n in range(40)}, "w": "a" * 30}
TOO_FEW = "fewer than 10 users are too few to tell them apart"


class Shop(Spy):
    """A model of these intents, which lists a, b and c for everybody."""

    def __init__(self, config: ArtifactConfig) -> None:
        super().__init__("abc", config.name)
        self._intents = {name: 0.1 + n / 100 for n, name in enumerate(config.intents)}

    def score(self, sequences: Any) -> list[Score]:
        return [score._replace(intent=self._intents) for score in super().score(sequences)]


def evaluate(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    users: dict[str, str],
    *more: str | Path,
    **changes: Any,
) -> list[str]:
    """The lines of `evaluate` for a model of this configuration, after the same training."""
    intents = changes.get("intents", CONFIG.intents)
    counted = tuple((("buy",), ("cart",))[n % 2] for n in range(len(intents)))
    config = replace(CONFIG, intent_actions=counted, **changes)
    monkeypatch.setattr("model.serving.load_scorer", lambda _: Shop(config))
    slopes, offsets, rates = [(value,) * len(intents) for value in (1.0, 0.0, 0.12)]
    calibration = Calibration(intents, slopes, offsets, rates)
    with ArtifactWriter(folder / "artifact") as writer:
        writer.write_object(files.CATALOGUE, CATALOGUE.to_json())
        writer.write_object(files.CALIBRATION, calibration.to_json())
        writer.write_object(files.METRICS, {"held_out": {}, "learning": []})
        writer.seal(config, created_at="2026-01-02T03:04:05Z", data=DATA, made={})
    old = log(folder, {"u": "abab", "v": "acac"}, OLD_MS, "old.jsonl")
    new = log(folder, users, SELECTED_MS, "new.jsonl")

    result = run(folder / "artifact", old, new, "--json", folder / "figures.json", *more)

    assert result.exit_code == 0, result.output
    json.loads((folder / "figures.json").read_text(), parse_constant=pytest.fail)
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ({"u": "a"}, ["for 100.0% of 1 question and the best rule", TOO_FEW]),
        ({"u": "abababab"}, ["of 8 questions and the best rule", TOO_FEW]),
        ({"u": "xyzx"}, ["for 0.0% of 4 questions", TOO_FEW]),
        # Nine users: whatever they say, chance may have said it.
        ({f"u{n}": "cc" for n in range(9)}, [TOO_FEW]),
        ({f"u{n}": "aaaa" for n in range(40)}, ["is no different from the best rule"]),
        (
            {f"u{n}": "xyzz" for n in range(40)},
            ["is worse than the best rule, newest_first", "It fails for", "it was not trained on"],
        ),
        ({f"u{n}": "a" for n in range(40)}, ["is no different from", "users without actions"]),
    ],
    ids=["one event", "one user", "unknown items", "nine users", "one item", "all cold", "no more"],
)
def test_an_odd_log_has_three_sentences_in_eighty_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, users: dict[str, str], said: list[str]
) -> None:
    lines = evaluate(tmp_path, monkeypatch, users)
    sentences = " ".join(lines[: lines.index("")])

    assert all(text in sentences for text in said), sentences
    assert sentences.endswith(".") and "Its chances" in sentences
    assert max(map(len, lines)) < 80


def test_a_few_users_do_not_judge_the_intents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both outcomes are there, and every resample of the two users says the same.
    lines = evaluate(tmp_path, monkeypatch, {"u": "abab", "w": "a" * 30}, intents=("wants",))

    assert any("Its chances cannot be judged here for wants" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "intents"),
    [
        ("x" * 120, ()),
        ("<script>alert(1)</script>", ("</svg><script>x</script>",)),
        ("a\x1b[31mb\nc", ("buy \x1b[31m\u202e",)),
        ("服务器机械键盘" * 8, ("购买" * 30, "加入购物车" * 9)),
        ("$\\frac{1}$", ("$\\frac{1}$", "costs $5 or $6")),
        ("lately", tuple(f"intent_number_{n}" for n in range(12))),
    ],
    ids=["long", "script", "escapes", "wide", "formula", "many"],
)
def test_an_odd_name_neither_acts_nor_breaks_the_page_or_the_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, intents: tuple[str, ...]
) -> None:
    report = tmp_path / "report.html"
    lines = evaluate(tmp_path, monkeypatch, BUYERS, "--report", report, name=name, intents=intents)
    page = report.read_text(encoding="utf-8")

    assert all(line.isprintable() for line in lines)
    assert max(map(cell_len, lines)) < 80
    assert "<script>" not in page and "\x1b" not in page
    assert "<svg" in page
