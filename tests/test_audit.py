"""The audit calls a blind auditor blind, and what it skipped unaudited."""

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "requirements" / "audit.py"
_spec = importlib.util.spec_from_file_location("audit", FILE)
assert _spec and _spec.loader
audit = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(audit)

WEAK = {
    "name": "jinja2",
    "version": "2.10",
    "vulns": [{"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"]}],
}
SKIPPED = {"name": "jinja2", "skip_reason": "Dependency not found on PyPI"}
SOUND = {"name": "faust-streaming", "version": "0.11.3", "vulns": []}


def told(monkeypatch: pytest.MonkeyPatch, of_canary: list[Any] | str, of_pins: list[Any]) -> None:
    """Let pip-audit say this, first of what is known to be weak, then of the pins."""
    answers = iter([of_canary, of_pins])

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        answer = next(answers)
        text = answer if isinstance(answer, str) else json.dumps({"dependencies": answer})
        return subprocess.CompletedProcess(command, 0, text, "Traceback\nConnectionError: no route")

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize("of_canary", [[SKIPPED], [{**WEAK, "vulns": []}], [], "no JSON"])
def test_an_auditor_that_misses_what_is_known_to_be_weak_is_blind(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], of_canary: Any
) -> None:
    told(monkeypatch, of_canary, [SOUND])

    assert audit.main(Path("pins.txt")) == 2
    assert "NOT AUDITED" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("of_pins", "code", "said"),
    [
        ([SOUND], 0, "1 versions, none known to be weak"),
        ([SOUND, WEAK], 1, "jinja2 2.10: PYSEC-2019-217, mended in 2.10.1"),
        ([SOUND, SKIPPED], 1, "jinja2: not audited"),
    ],
)
def test_one_that_sees_names_what_is_weak_or_skipped(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    of_pins: list[Any],
    code: int,
    said: str,
) -> None:
    told(monkeypatch, [WEAK], of_pins)

    assert audit.main(Path("pins.txt")) == code
    assert said in capsys.readouterr().out
