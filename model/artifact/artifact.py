"""The artifact: the folder that holds a model, verified when it is opened."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from model.artifact.manifest import MAX_BYTES, FileProof, Manifest, check_name, parse_object, render
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.errors import ArtifactError
from model.scorer import ModelInfo
from model.scratch import removed_in_the_end, scratch_folder

MANIFEST = "manifest.json"
CATALOGUE = "catalogue.json"
CALIBRATION = "calibration.json"
METRICS = "metrics.json"
ATTRIBUTES = "attributes.json"
CONTEXTS = "contexts.json"
COPYING = "copying.json"
GRAPH = "model.onnx"
NETWORK_CONFIG = "config.json"
WEIGHTS = "model.safetensors"

# In a manifest's ``made``: no weights, and an int8 graph (model.packaging.shrink).
SHRUNK = "shrunk"
MAX_TABLE_BYTES = 1 << 29  # of a file with about one row per item
_AGAIN = "copy or export the artifact again"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A folder whose files all match its manifest."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open and verify the folder; raises ``ArtifactError`` for the first check that fails."""
        artifact = cls(Path(folder), read_manifest(Path(folder)))
        artifact._check_listing()
        for name, proof in artifact.manifest.files.items():
            artifact._check_file(name, proof)
        return artifact

    @property
    def config(self) -> ArtifactConfig:
        """The configuration that training and serving share."""
        return self.manifest.config

    @property
    def version(self) -> str:
        """See ``Manifest.version``."""
        return self.manifest.version

    def info(self, device: str) -> ModelInfo:
        """The model, its version and this device."""
        config, created_s = self.config, _seconds_of(self.manifest.created_at)
        return ModelInfo(config.name, self.version, device, config.horizon_s, created_s)

    def path(self, name: str) -> Path:
        """The path of a file of the artifact; raises ``ArtifactError`` if it has no such file."""
        if name not in self.manifest.files:
            raise self.error(f"has no {name}; export the artifact again")
        return self.folder / name

    def read_object(self, name: str, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
        """Read a JSON object from a file; raises ``ArtifactError`` for anything else."""
        try:
            return parse_object(self.path(name).read_bytes(), max_bytes)
        except ValueError as error:
            raise self.error(f"{name} {error}") from None

    def read_catalogue(self) -> Catalogue:
        """Read the catalogue; raises ``ArtifactError`` if it does not fit the manifest."""
        try:
            catalogue = Catalogue.from_json(self.read_object(CATALOGUE, MAX_TABLE_BYTES))
        except ValueError as error:
            raise self.error(f"{CATALOGUE}: {error}; export the artifact again") from None
        self.check_fit("manifest.json", self.manifest.items, self.manifest.categories, catalogue)
        return catalogue

    def check_fit(self, where: str, items: int, categories: int, catalogue: Catalogue) -> None:
        """Raise ``ArtifactError`` unless ``where`` was made for this catalogue."""
        for noun, found, expected in (
            ("items", len(catalogue), items),
            ("categories", len(catalogue.categories), categories),
        ):
            if found != expected:
                raise self.error(
                    f"catalogue has {found} {noun}, {where} expects {expected}; "
                    "export the artifact again"
                )

    def error(self, line: str) -> ArtifactError:
        """An error that names this folder."""
        return ArtifactError(f"{self.folder}: {line}")

    def _check_listing(self) -> None:
        expected = set(self.manifest.files)
        found = {entry.name for entry in self.folder.iterdir()} - {MANIFEST}
        if missing := sorted(expected - found):
            raise self.error(f"{missing[0]} is missing, manifest lists it; {_AGAIN}")
        if extra := sorted(found - expected):
            raise self.error(f"{extra[0]} is not in the manifest; remove it, or {_AGAIN}")

    def _check_file(self, name: str, expected: FileProof) -> None:
        try:
            found = FileProof.of(self.folder / name)
        except OSError as error:
            raise self.error(f"{name} cannot be read ({error.strerror}); {_AGAIN}") from None
        if found.size_bytes != expected.size_bytes:
            raise self.error(
                f"{name} has {found.size_bytes} bytes, manifest expects "
                f"{expected.size_bytes}; {_AGAIN}"
            )
        if found.sha256 != expected.sha256:
            raise self.error(
                f"{name} has sha256 {found.sha256[:12]}…, manifest expects "
                f"{expected.sha256[:12]}…; {_AGAIN}"
            )


class ArtifactWriter:
    """Writes an artifact that appears only once it is complete.

    Use as a context manager: files go into ``draft``, ``seal`` hashes them and moves the
    folder to its place atomically. Without ``seal`` nothing is left behind.
    """

    def __init__(self, folder: Path | str, *, overwrite: bool = False) -> None:
        """Raises ``ArtifactError`` if the folder exists and may not be overwritten."""
        self.folder = Path(folder)
        self._overwrite = overwrite
        self._scratch = ExitStack()
        self._refuse_to_overwrite()

    def __enter__(self) -> Self:
        parent = self.folder.absolute().parent
        try:
            parent.mkdir(parents=True, exist_ok=True)
            made = scratch_folder(prefix=f".{self.folder.name}-", beside=parent)
            self.draft = self._scratch.enter_context(made)
        except OSError as error:
            raise ArtifactError(
                f"{self.folder}: cannot be written ({error.strerror}); name a writable folder"
            ) from None
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._scratch.close()

    def write_object(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON object into the draft."""
        (self.draft / check_name(name)).write_bytes(render(dict(value)))

    def seal(
        self,
        config: ArtifactConfig,
        *,
        created_at: str,
        data: Mapping[str, Any],
        made: Mapping[str, Any],
    ) -> Artifact:
        """Write the manifest, move the draft to its place, and open it.

        The draft must already hold the catalogue. Raises ``ArtifactError`` if it has a file that
        an artifact may not have, or if the folder has been created in the meantime.
        """
        catalogue = parse_object((self.draft / CATALOGUE).read_bytes(), MAX_TABLE_BYTES)
        manifest = Manifest(
            config,
            len(catalogue["items"]),
            len(catalogue["categories"]),
            self._proofs(),
            created_at,
            data,
            made,
        )
        (self.draft / MANIFEST).write_bytes(manifest.to_bytes())
        self._move()
        return Artifact.open(self.folder)

    def _proofs(self) -> dict[str, FileProof]:
        try:
            return {check_name(entry.name): FileProof.of(entry) for entry in self.draft.iterdir()}
        except (ValueError, OSError) as error:
            raise ArtifactError(f"{self.folder}: cannot hold {error}") from None

    def _move(self) -> None:
        self._refuse_to_overwrite()
        # The draft is readable by this user only, but a worker may run as another.
        for entry in self.draft.iterdir():
            entry.chmod(0o644)
            _sync(entry)
        self.draft.chmod(0o755)
        _sync(self.draft)
        if not self._taken():
            self.draft.rename(self.folder)
            return
        old = self.draft.with_name(self.draft.name + "-old")
        with removed_in_the_end(old):
            self._replace(old)

    def _replace(self, old: Path) -> None:
        try:
            self.folder.rename(old)
            self.draft.rename(self.folder)
        except BaseException:  # also one that a signal raises between the two
            if old.exists() and not self.folder.exists():
                old.rename(self.folder)
            raise

    def _refuse_to_overwrite(self) -> None:
        if not self._taken():
            return
        if not self._overwrite:
            raise ArtifactError(
                f"{self.folder}: exists already; name another folder, or ask to overwrite it"
            )
        # Overwriting may replace an artifact, but never a home directory.
        if not (self.folder / MANIFEST).is_file():
            raise ArtifactError(
                f"{self.folder}: is not an artifact (no {MANIFEST}); name another folder"
            )

    def _taken(self) -> bool:
        empty = self.folder.is_dir() and not any(self.folder.iterdir())
        return self.folder.exists() and not empty


def check_place(folder: Path, *, overwrite: bool) -> None:
    """Raise ``ArtifactError`` for a folder that an artifact cannot be written to; writes nothing.

    For a command to ask before the work whose result it would be.
    """
    ArtifactWriter(folder, overwrite=overwrite)
    above = next(path for path in folder.absolute().parents if path.exists())
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        raise ArtifactError(
            f"{folder}: cannot be written, since {above} is no folder that may be written to; "
            "name another folder"
        )


def inspect(folder: Path | str) -> dict[str, Any]:
    """Read the manifest's fields and no other file; raises ``ArtifactError``."""
    return read_manifest(Path(folder)).to_json()


def inspect_metrics(folder: Path | str) -> dict[str, Any]:
    """Read the figures measured in training; empty if there is no file or it is invalid."""
    try:
        return parse_object((Path(folder) / METRICS).read_bytes(), MAX_BYTES)
    except (OSError, ValueError):
        return {}


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest alone; raises ``ArtifactError`` unless it is whole."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ArtifactError(
            f"{folder}: {MANIFEST} cannot be read ({error.strerror}); "
            "name the folder that `lately train` wrote"
        ) from None
    try:
        return Manifest.from_bytes(content)
    except ValueError as error:
        raise ArtifactError(f"{folder}: {MANIFEST} {error}") from None


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _seconds_of(created_at: str) -> float | None:
    """ISO 8601 as seconds since the epoch; None for anything else, as the field is for people."""
    try:
        at = datetime.fromisoformat(created_at)
    except ValueError:
        return None
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
