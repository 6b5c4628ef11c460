"""The audit: whether any version in a pin file is known to be weak, and whether anyone could know.

    .venv-audit/bin/python requirements/audit.py requirements/all.txt

pip-audit says "No known vulnerabilities" of versions that it found nothing about, too. So it is
asked first about one that is known to be weak, and every version that it skips counts as a fault.
Exits with 1 for a weakness or a skipped version, with 2 where no list of weaknesses is in reach.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CANARY = "jinja2==2.10"  # CVE-2019-10906, among others
PATIENCE_S = 600


class Blind(Exception):
    """The auditor cannot see; says why."""


def ask(pins: Path, *options: str) -> list[dict[str, Any]]:
    """What pip-audit says of each version in the file."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--format", "json", *options]
    done = subprocess.run(
        [*command, "-r", str(pins)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise Blind(f"pip-audit gave no answer: {said}") from None
    return found


def check_sight() -> None:
    """Raise Blind unless what is known to be weak is called so."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "canary.txt"
        pins.write_text(f"{CANARY}\n", encoding="utf-8")
        if not any(found.get("vulns") for found in ask(pins, "--no-deps")):
            raise Blind(f"no list of weaknesses in reach: nothing is known of {CANARY}")


def faults_of(answers: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each weakness, and for each version that was skipped."""
    for found in answers:
        if "skip_reason" in found:
            yield f"{found['name']}: not audited ({found['skip_reason']})"
        for weakness in found.get("vulns", []):
            mended = ", ".join(weakness["fix_versions"]) or "no version"
            yield f"{found['name']} {found['version']}: {weakness['id']}, mended in {mended}"


def main(pins: Path) -> int:
    """Print what is wrong with the versions in the file."""
    try:
        check_sight()
        answers = ask(pins, "--require-hashes")
    except (Blind, subprocess.TimeoutExpired) as error:
        print(f"{pins}: NOT AUDITED, {error}")
        return 2
    faults = list(faults_of(answers))
    print("\n".join(faults) or f"{pins}: {len(answers)} versions, none known to be weak")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
