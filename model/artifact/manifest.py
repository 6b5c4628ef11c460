"""The manifest: the contents of an artifact, and the hashes that verify them."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from model.config import ArtifactConfig

FORMAT_VERSION = 1
MAX_BYTES = 1 << 20
SUFFIXES = (".json", ".onnx", ".safetensors")  # formats that cannot run code when loaded
_BLOCK_BYTES = 1 << 20


class FileProof(NamedTuple):
    """The hash and the size that a file must have."""

    sha256: str
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> "FileProof":
        """Compute the proof of a file, read once in blocks."""
        digest = hashlib.sha256()
        size_bytes = 0
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size_bytes += len(block)
        return cls(digest.hexdigest(), size_bytes)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checked manifest; ``data`` describes the training data.

    ``created_at`` is ISO 8601; ``made`` records how the artifact was made, for people.
    """

    config: ArtifactConfig
    items: int
    categories: int
    files: Mapping[str, FileProof]
    created_at: str
    data: Mapping[str, Any]
    made: Mapping[str, Any]

    @property
    def version(self) -> str:
        """Twelve hex digits that hash the files and the configuration, but not when or how.

        So a rebuild with equal bytes has the same version.
        """
        digest = hashlib.sha256()
        for name in sorted(self.files):
            digest.update(f"{name} {self.files[name].sha256}\n".encode())
        digest.update(render(self.config.to_json()))
        return digest.hexdigest()[:12]

    def to_json(self) -> dict[str, Any]:
        """All fields with the manifest's own checksum."""
        fields = self.config.to_json() | {
            "format_version": FORMAT_VERSION,
            "version": self.version,
            "created_at": self.created_at,
            "items": self.items,
            "categories": self.categories,
            "files": {name: proof._asdict() for name, proof in self.files.items()},
            "data": dict(self.data),
            "made": dict(self.made),
        }
        return fields | {"checksum": hashlib.sha256(render(fields)).hexdigest()}

    def to_bytes(self) -> bytes:
        """The canonical bytes of this manifest."""
        return render(self.to_json())

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Parse and check; raises ``ValueError`` with what was found and expected, and the fix."""
        fields = parse_object(content, MAX_BYTES)
        if fields.get("format_version") != FORMAT_VERSION:
            raise ValueError(
                f"has format_version {fields.get('format_version')!r}, this Lately reads "
                f"{FORMAT_VERSION}; install the Lately that made it or export the artifact again"
            )
        try:
            manifest = cls._from_fields(fields)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"cannot be used ({error}); copy the artifact again") from None
        # Only its own checksum protects the manifest, so every byte must be canonical.
        if manifest.to_bytes() != content:
            raise ValueError(
                "does not match its own checksum; copy or export the artifact again, "
                "never edit it by hand"
            )
        return manifest

    @classmethod
    def _from_fields(cls, fields: dict[str, Any]) -> "Manifest":
        files = {
            check_name(name): FileProof(str(proof["sha256"]), int(proof["size_bytes"]))
            for name, proof in fields["files"].items()
        }
        return cls(
            ArtifactConfig.from_json(fields),
            int(fields["items"]),
            int(fields["categories"]),
            files,
            str(fields["created_at"]),
            dict(fields["data"]),
            dict(fields["made"]),
        )


def check_name(name: str) -> str:
    """Return a plain file name of an allowed type; raises ``ValueError`` for any other."""
    plain = name == Path(name).name and not name.startswith(".")
    if not plain or not name.endswith(SUFFIXES):
        raise ValueError(f"file {name!r}, expected a plain name ending in {_one_of(SUFFIXES)}")
    return name


def render(value: Any) -> bytes:
    """Serialise to the canonical JSON of artifacts."""
    options = orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, option=options)


def parse_object(content: bytes, max_bytes: int) -> dict[str, Any]:
    """Parse a JSON object; raises ``ValueError`` if it is invalid, too large or too deep."""
    if len(content) > max_bytes:
        raise ValueError(f"has {len(content)} bytes, expected at most {max_bytes}")
    try:
        value = orjson.loads(content)  # refuses nesting over 1024 levels
    except orjson.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error}); copy the artifact again") from None
    if not isinstance(value, dict):
        raise ValueError(f"holds a JSON {type(value).__name__}, expected an object")
    return value


def _one_of(names: Iterable[str]) -> str:
    return ", ".join(names)
