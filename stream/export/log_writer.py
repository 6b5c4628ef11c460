"""The files of an exported log: JSON lines that training and replaying read, and a manifest."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from model.times import FIRST_TS_MS
from stream.export.period import as_text
from stream.export.spill import Row

ROWS_PER_FILE = 1_000_000
MANIFEST = "manifest.json"
_OPTIONAL = ("event_id", "session_id", "category", "price", "quantity")


class LogWriter:
    """Writes rows to ``events-00000.jsonl``, ``events-00001.jsonl``, … in a folder."""

    def __init__(self, folder: Path, rows_per_file: int = ROWS_PER_FILE) -> None:
        self.files: list[str] = []
        self.first_ms: int | None = None
        self.last_ms: int | None = None
        self._folder = folder
        self._rows_per_file = rows_per_file

    def write(self, rows: Iterable[Row]) -> None:
        """Write all of these rows; to be called once."""
        rows = iter(rows)
        for first in rows:
            name = f"events-{len(self.files):05}.jsonl"
            self.files.append(name)
            with (self._folder / name).open("wb") as file:
                file.writelines(self._lines(first, rows))

    def write_manifest(self, manifest: dict[str, Any]) -> None:
        """Write what the log is and where it comes from."""
        text = orjson.dumps(manifest, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        (self._folder / MANIFEST).write_bytes(text)

    def _lines(self, first: Row, rows: Iterator[Row]) -> Iterator[bytes]:
        """The lines of one file."""
        row, left = first, self._rows_per_file
        while True:
            self.first_ms = row.ts_ms if self.first_ms is None else min(self.first_ms, row.ts_ms)
            self.last_ms = row.ts_ms if self.last_ms is None else max(self.last_ms, row.ts_ms)
            yield _line(row)
            left -= 1
            if not left or (following := next(rows, None)) is None:
                return
            row = following


def _line(row: Row) -> bytes:
    event: dict[str, Any] = {
        "user_id": row.user_id,
        "item_id": row.item_id,
        "action": row.action,
        # Before 1973 a number looks like seconds, and readers refuse it.
        "ts": row.ts_ms if row.ts_ms >= FIRST_TS_MS else as_text(row.ts_ms),
    }
    for name in _OPTIONAL:
        if (value := getattr(row, name)) is not None:
            event[name] = value
    return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
