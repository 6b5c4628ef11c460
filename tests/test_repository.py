"""House rules that no linter knows: what may be in the tree, and what must agree with what."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 350
# In pieces, or this file would break its own rule.
HOST_PATHS = ["/" + "work/", "/" + "root/", "/" + "home/", "../" + "shared", "shared/" + "facts"]
REGISTRIES = [
    "pypi." + "org",
    "python" + "hosted",
    "maven." + "org",
    "npm" + "js",
    "docker." + "io",
]


def tracked(*patterns: str) -> list[Path]:
    """The files that git knows, and that are still there."""
    command = ["git", "ls-files", "-z", "--", *patterns]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode:
        pytest.skip("needs a git checkout")
    paths = [ROOT / name for name in listing.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def texts(*patterns: str) -> dict[Path, str]:
    contents = {}
    for path in tracked(*patterns):
        try:
            contents[path.relative_to(ROOT)] = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
    return contents


def pins(name: str) -> set[tuple[str, str]]:
    """Package and version of each pin of a file; some differ by the version of Python."""
    text = (ROOT / "requirements" / name).read_text()
    return set(re.findall(r"^([a-z0-9][a-z0-9._-]*)==([^\s;\\]+)", text, re.MULTILINE))


def pinned(name: str) -> set[str]:
    return {package for package, _ in pins(name)}


def package_name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


SCHEMAS = sorted((ROOT / "stream" / "schemas").glob("*.json"))
PIN_FILES = sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))
PEER_PINS = "rectools.txt"  # an environment of its own, with an older numpy
AUDIT_PINS = "audit.txt"  # what looks at the pins, in an environment of its own
NATIVE_PINS = "native.txt"  # and what builds the native core, in another
BYTEWAX_PINS = "bytewax.txt"  # and a peer in benchmarks/peers, whose wheels end at an older Python
APART = {PEER_PINS, AUDIT_PINS, NATIVE_PINS, BYTEWAX_PINS}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("words", [HOST_PATHS, REGISTRIES], ids=["paths", "registries"])
def test_nothing_names_a_machine_or_a_package_registry(words: list[str]) -> None:
    found = [f"{path}: {word}" for path, text in texts().items() for word in words if word in text]

    assert found == []


def test_modules_say_what_they_own_and_are_short() -> None:
    modules = texts("stream/*.py", "model/*.py")

    assert [p for p, text in modules.items() if text and not text.startswith('"""')] == []
    too_long = {p: n for p, text in modules.items() if (n := text.count("\n")) > MAX_LINES}
    assert too_long == {}


def test_nothing_is_left_for_later() -> None:
    marks = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")

    assert [path for path, text in texts("*.py", "*.md").items() if marks.search(text)] == []


def test_no_file_is_of_a_kind_that_runs_code_when_read() -> None:
    assert tracked("*.pkl", "*.pickle", "*.pt", "*.pth", "*.bin", "*.joblib") == []


def test_the_demo_artifact_is_small() -> None:
    size_bytes = sum(path.stat().st_size for path in tracked("model/demo_artifact"))

    assert size_bytes < 3_000_000


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_schema_is_a_schema(path: Path) -> None:
    schema = json.loads(path.read_text())

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")


@pytest.mark.parametrize("name", sorted(set(PIN_FILES) - APART))
def test_pins_agree_with_those_of_everything(name: str) -> None:
    assert pins(name)
    assert pins(name) - pins("all.txt") == set()


def test_the_peer_computes_with_the_torch_that_we_compute_with() -> None:
    ours = {pin for pin in pins("all.txt") if pin[0] == "torch"}

    assert ours
    assert ours <= pins(PEER_PINS)


@pytest.mark.parametrize("name", PIN_FILES)
def test_every_pin_has_a_hash_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    blocks = re.split(r"^(?=[a-z0-9][a-z0-9._-]*==)", text, flags=re.MULTILINE)[1:]

    assert len(blocks) == len(pins(name))
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text


@pytest.mark.parametrize(
    ("name", "extras"),
    [
        ("base.txt", []),
        ("demo.txt", ["demo"]),
        ("gpu.txt", ["gpu"]),
        ("all.txt", ["demo", "train", "gpu", "dev"]),
    ],
)
def test_what_the_project_asks_for_is_pinned(name: str, extras: list[str]) -> None:
    asked = list(PROJECT["dependencies"])
    for extra in extras:
        asked += PROJECT["optional-dependencies"][extra]

    assert {package_name(requirement) for requirement in asked} - pinned(name) == set()


def test_the_worker_and_the_demo_need_no_training_libraries() -> None:
    for name in ("base.txt", "demo.txt"):
        assert not {"torch", "transformers", "polars", "scikit-learn"} & pinned(name)


def test_the_worker_imports_neither_torch_nor_transformers_nor_polars() -> None:
    program = (
        "import sys, stream.cli.main, stream.worker.worker, model.serving.onnx;"
        "print(sorted({'torch', 'transformers', 'polars'} & set(sys.modules)))"
    )

    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert printed == "[]\n"


def test_the_installer_takes_the_versions_of_python_that_the_project_names() -> None:
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if ":: Python ::" in c]
    script = (ROOT / "requirements" / "install.sh").read_text()
    tried = re.findall(r"\bpython(3\.\d+)\b", script)
    low, high = (f"3.{minor}" for minor in re.findall(r"\(3, (\d+)\)", script))

    assert tried == named
    assert PROJECT["requires-python"] == f">={low},<{high}"
    assert low == named[0]
    assert high == f"3.{int(named[-1].removeprefix('3.')) + 1}"
    newest = re.findall(r"^NEWEST := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert newest == named[-1:]  # of which `make resolve` sees that there are wheels


def test_scripts_can_be_run() -> None:
    scripts = tracked(".ci/run", ".ci/newest-python", "requirements/install.sh", "deploy/*.sh")

    assert len(scripts) == 5
    assert all(os.access(script, os.X_OK) for script in scripts)


def test_ci_tests_with_the_newest_named_python_that_can_run(tmp_path: Path) -> None:
    named = re.findall(
        r'"Programming Language :: Python :: 3\.(\d+)"', (ROOT / "pyproject.toml").read_text()
    )
    newest, second, *_ = sorted(map(int, named), reverse=True)
    for minor, status in ((newest, 127), (second, 0)):  # a shim of pyenv answers 127
        program = tmp_path / f"python3.{minor}"
        program.write_text(f"#!/bin/sh\nexit {status}\n")
        program.chmod(0o755)

    run = subprocess.run(
        [ROOT / ".ci/newest-python"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYENV_ROOT": str(tmp_path / "none")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert run.stdout == f"{tmp_path}/python3.{second}\n"
    assert run.stderr == f"no Python 3.{newest} here\n"


def test_every_make_target_that_is_written_of_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    written = {
        target
        for text in texts("*.md", ".ci/run", "*.py").values()
        for target in re.findall(r'(?:`|" |^ *|\$ )make ([a-z-]+)', text, re.MULTILINE)
    }

    assert written <= targets


@pytest.mark.parametrize(
    "name",
    [
        "asyncio.get_event_loop()",  # 3.14: an error where no loop runs
        "asyncio.iscoroutinefunction",
        "event_loop_policy",
        "codecs.open",
        "datetime.utcnow",
        "utcfromtimestamp",
        "pkgutil.",
        "ByteString",
        "onerror=",  # of shutil.rmtree
        "ast.Str",
    ],
)
def test_nothing_that_a_newer_python_takes_away_is_called(name: str) -> None:
    found = {str(path) for path, text in texts("*.py").items() if name in text}

    assert found == {"tests/test_repository.py"}
