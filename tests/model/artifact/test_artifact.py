"""The artifact: writing, verification, and the messages of refusals."""

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.artifact.artifact import CATALOGUE, GRAPH, MANIFEST, Artifact, ArtifactWriter, inspect
from model.artifact.manifest import parse_object, render
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.errors import ArtifactError
from model.onnx_session import session_of
from model.serving import load_scorer, onnx
from model.serving.onnx import OnnxScorer
from model.serving.verify import verify

CONFIG = ArtifactConfig()
CATALOGUE_OF_TWO = Catalogue.from_names(["a", "b"], ["x", "y"], [2, 1])


def write_plain(
    folder: Path,
    *,
    created_at: str = "2026-01-02T03:04:05Z",
    config: ArtifactConfig = CONFIG,
    overwrite: bool = False,
) -> Artifact:
    with ArtifactWriter(folder, overwrite=overwrite) as writer:
        writer.write_object(CATALOGUE, CATALOGUE_OF_TWO.to_json())
        (writer.draft / GRAPH).write_bytes(b"not really a graph")
        return writer.seal(config, created_at=created_at, data={"events": 3}, made={"seed": 1})


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_plain(tmp_path / "v7").folder


@pytest.fixture
def copy(tiny_artifact: Artifact, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_artifact.folder, tmp_path / "copy"))


def refusal(folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        Artifact.open(folder)
    line = str(caught.value)
    assert line.startswith(f"{folder}: ")
    assert "\n" not in line
    return line.removeprefix(f"{folder}: ")


def test_two_loads_have_the_same_version(plain: Path) -> None:
    assert Artifact.open(plain).version == Artifact.open(plain).version


def test_version_depends_on_the_contents_not_on_the_time(tmp_path: Path) -> None:
    first = write_plain(tmp_path / "a", created_at="2026-01-01T00:00:00Z")
    second = write_plain(tmp_path / "b", created_at="2026-06-01T00:00:00Z")

    assert first.version == second.version
    assert len(first.version) == 12


@pytest.mark.parametrize(
    ("created_at", "created_s"),
    [
        ("1970-01-02T00:00:00Z", 86_400.0),
        ("1970-01-02T01:00:00+01:00", 86_400.0),
        ("1970-01-02T00:00:00", 86_400.0),  # without a zone it is UTC
        ("last week", None),
    ],
)
def test_info_says_when_it_was_exported_if_that_is_a_time(
    tmp_path: Path, created_at: str, created_s: float | None
) -> None:
    artifact = write_plain(tmp_path / "a", created_at=created_at)

    assert artifact.info("cpu").created_s == created_s


def test_version_changes_with_the_configuration(tmp_path: Path) -> None:
    first = write_plain(tmp_path / "a")
    second = write_plain(tmp_path / "b", config=ArtifactConfig(horizon_s=60))

    assert first.version != second.version


def test_inspect_shows_the_manifest(plain: Path) -> None:
    shown = inspect(plain)

    assert shown == json.loads((plain / MANIFEST).read_bytes())
    assert (shown["format_version"], shown["items"], shown["categories"]) == (1, 2, 2)
    assert shown["files"][GRAPH]["size_bytes"] == len(b"not really a graph")
    assert (shown["data"], shown["made"]) == ({"events": 3}, {"seed": 1})


def test_verify_runs_the_checks_of_a_worker(copy: Path, plain: Path) -> None:
    assert verify(copy).manifest["name"] == "tiny"
    with pytest.raises(ArtifactError, match=r"calibration\.json"):
        verify(plain)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_in_any_file_is_refused(copy: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(copy.iterdir())))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    flipped = bytearray(content)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    try:
        line = refusal(copy)
    finally:
        path.write_bytes(content)

    assert line.startswith(path.name)


def test_no_byte_is_parsed_before_every_hash_is_checked(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def parse_and_tell(content: bytes, max_bytes: int) -> dict[str, Any]:
        parsed.append("json")
        return parse_object(content, max_bytes)

    def open_and_tell(graph: bytes) -> Any:
        parsed.append("graph")
        return session_of(graph)

    monkeypatch.setattr("model.artifact.artifact.parse_object", parse_and_tell)
    monkeypatch.setattr(onnx, "session_of", open_and_tell)
    load_scorer(copy)
    assert {"json", "graph"} == set(parsed)

    for path in sorted(copy.iterdir()):
        if path.name == MANIFEST:
            continue
        parsed.clear()
        content = path.read_bytes()
        path.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        with pytest.raises(ArtifactError, match="has sha256"):
            load_scorer(copy)
        path.write_bytes(content)

        assert parsed == [], path.name  # except the manifest, which holds the hashes


def test_a_wrong_hash_names_both_hashes_and_what_to_do(plain: Path) -> None:
    expected = inspect(plain)["files"][GRAPH]["sha256"]
    (plain / GRAPH).write_bytes(b"not really a graph".upper())

    line = refusal(plain)
    assert line.startswith("model.onnx has sha256 ")
    assert f"…, manifest expects {expected[:12]}…; copy or export" in line


def test_a_truncated_file_names_both_sizes(plain: Path) -> None:
    (plain / GRAPH).write_bytes(b"not")

    assert refusal(plain).startswith("model.onnx has 3 bytes, manifest expects 18; copy")


def test_a_missing_file_is_refused(plain: Path) -> None:
    (plain / GRAPH).unlink()

    assert refusal(plain).startswith("model.onnx is missing, manifest lists it; copy")


def test_an_extra_file_is_refused(plain: Path) -> None:
    (plain / "notes.json").write_text("{}")

    assert refusal(plain).startswith("notes.json is not in the manifest; remove it")


def test_a_folder_in_place_of_a_file_is_refused(plain: Path) -> None:
    (plain / GRAPH).unlink()
    (plain / GRAPH).mkdir()

    assert refusal(plain).startswith("model.onnx cannot be read (Is a directory)")


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith("manifest.json cannot be read (No such file")
    assert refusal(tmp_path / "nowhere").startswith("manifest.json cannot be read (No such file")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "manifest.json is not JSON"),
        (b"[1]", "manifest.json holds a JSON list, expected an object"),
        (b"[" * 100_000, "manifest.json is not JSON"),
        (b" " * (1 << 20) + b"{}", "manifest.json has 1048577 bytes, expected at most 1048576"),
        (b"{}", "manifest.json has format_version None, this Lately reads 1"),
        (b'{"format_version": 2}', "manifest.json has format_version 2, this Lately reads 1"),
        (b'{"format_version": 1}', "manifest.json cannot be used ('files')"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_refused(plain: Path, content: bytes, line: str) -> None:
    (plain / MANIFEST).write_bytes(content)

    assert refusal(plain).startswith(line)


@pytest.mark.parametrize("name", ["../model.onnx", "/etc/x.json", ".x.json", "w.bin", "w.pkl"])
def test_a_manifest_that_lists_a_strange_name_is_refused(plain: Path, name: str) -> None:
    fields = inspect(plain)
    fields["files"][name] = fields["files"].pop(GRAPH)
    (plain / MANIFEST).write_bytes(render(fields))

    assert f"file {name!r}, expected a plain name ending in .json" in refusal(plain)


def test_an_edited_manifest_is_refused(plain: Path) -> None:
    content = (plain / MANIFEST).read_bytes()
    (plain / MANIFEST).write_bytes(content.replace(b'"horizon_s": 1800', b'"horizon_s": 3600'))

    assert refusal(plain).startswith("manifest.json does not match its own checksum; copy")


def reseal(copy: Path, folder: Path, catalogue: Catalogue) -> Artifact:
    """A valid copy of the artifact with another catalogue and correct hashes."""
    with ArtifactWriter(folder) as writer:
        for path in copy.iterdir():
            if path.name != MANIFEST:
                shutil.copy(path, writer.draft)
        writer.write_object(CATALOGUE, catalogue.to_json())
        config = Artifact.open(copy).config
        return writer.seal(config, created_at="2026-01-02T03:04:05Z", data={}, made={})


def test_a_catalogue_that_does_not_fit_the_graph_is_refused(copy: Path, tmp_path: Path) -> None:
    ids = [f"i{index}" for index in range(62)]
    artifact = reseal(copy, tmp_path / "v8", Catalogue(ids, ["a"], [0] * 62, [1] * 62))

    with pytest.raises(
        ArtifactError, match=r"v8: catalogue has 62 items, model\.onnx expects 60; export the"
    ):
        OnnxScorer(artifact)


def test_categories_that_do_not_fit_the_graph_are_refused(copy: Path, tmp_path: Path) -> None:
    ids = [f"i{index}" for index in range(60)]
    artifact = reseal(copy, tmp_path / "v8", Catalogue(ids, ["a"], [0] * 60, [1] * 60))

    with pytest.raises(ArtifactError, match=r"has 1 categories, model\.onnx expects 4"):
        OnnxScorer(artifact)


def test_an_invalid_graph_is_refused(plain: Path, copy: Path) -> None:
    shutil.copy(copy / "calibration.json", plain)
    (plain / MANIFEST).unlink()
    with ArtifactWriter(plain.with_name("v8")) as writer:
        for path in plain.iterdir():
            shutil.copy(path, writer.draft)
        artifact = writer.seal(CONFIG, created_at="2026-01-02T03:04:05Z", data={}, made={})

    with pytest.raises(ArtifactError, match=r"v8: model\.onnx cannot be loaded by ONNX Runtime"):
        OnnxScorer(artifact)


def test_an_unsealed_draft_leaves_nothing(tmp_path: Path) -> None:
    with ArtifactWriter(tmp_path / "v7") as writer:
        writer.write_object(CATALOGUE, {})

    assert list(tmp_path.iterdir()) == []


def test_an_artifact_is_not_overwritten_unless_asked(plain: Path) -> None:
    with pytest.raises(ArtifactError, match="exists already; name another folder"):
        ArtifactWriter(plain)

    second = write_plain(plain, config=ArtifactConfig(horizon_s=60), overwrite=True)
    assert second.config.horizon_s == 60
    assert [path.name for path in plain.parent.iterdir()] == ["v7"]


@pytest.mark.parametrize("broken_off", [1, 2], ids=["before", "between"])
def test_an_interrupted_replacement_leaves_the_older_artifact(
    plain: Path, monkeypatch: pytest.MonkeyPatch, broken_off: int
) -> None:
    """The folder is moved away before the new one takes its name."""
    rename, renamed = Path.rename, itertools.count(1)

    def interrupted(self: Path, target: Path) -> Path:
        if next(renamed) == broken_off:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_plain(plain, config=ArtifactConfig(horizon_s=60), overwrite=True)

    assert Artifact.open(plain).config == CONFIG
    assert [path.name for path in plain.parent.iterdir()] == ["v7"]


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "v7").mkdir()

    assert write_plain(tmp_path / "v7").config == CONFIG


def test_a_file_at_the_path_of_the_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "v7").write_text("years of work")

    with pytest.raises(ArtifactError, match="exists already"):
        ArtifactWriter(tmp_path / "v7")


def test_a_folder_that_is_not_an_artifact_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    with pytest.raises(ArtifactError, match=r"is not an artifact \(no manifest\.json\)"):
        ArtifactWriter(tmp_path, overwrite=True)


def test_a_file_that_may_run_code_is_never_sealed(tmp_path: Path) -> None:
    with ArtifactWriter(tmp_path / "v7") as writer:
        writer.write_object(CATALOGUE, CATALOGUE_OF_TWO.to_json())
        (writer.draft / "pytorch_model.bin").write_bytes(b"\x80\x04.")
        with pytest.raises(ArtifactError, match=r"cannot hold file 'pytorch_model\.bin'"):
            writer.seal(CONFIG, created_at="2026-01-02T03:04:05Z", data={}, made={})
