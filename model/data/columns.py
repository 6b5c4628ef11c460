"""Foreign columns: what a log may have instead of ours, and the command that converts it."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from model.data.row import COLUMNS, REQUIRED

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
HEAD = 64  # bytes that tell what a file is
GZIP = b"\x1f\x8b"
KINDS = {  # by their first bytes, files that are no text
    b"PK\x03\x04": "is a zip archive or a workbook; name it .zip, or save the sheet as CSV",
    b"PAR1": "is Parquet; name it .parquet",
    b"BZh": "is packed by bzip2; unpack it",
    b"\x28\xb5\x2f\xfd": "is packed by zstd; unpack it",
    b"\xfd7zXZ": "is packed by xz; unpack it",
}
_ENCODINGS = {  # in this order: the mark of UTF-32 begins as that of UTF-16
    "utf-32": re.compile(re.escape(BOM_UTF32_LE) + b"|" + re.escape(BOM_UTF32_BE)),
    "utf-16": re.compile(re.escape(BOM_UTF16_LE) + b"|" + re.escape(BOM_UTF16_BE)),
    "utf-16-le": re.compile(rb"([^\0]\0){2}"),  # without a mark
    "utf-16-be": re.compile(rb"(\0[^\0]){2}"),
}
# What the columns of other systems are called, as parts of names; the first that fits is taken.
_WORDS = {
    "user_id": ("user", "customer", "visitor", "shopper", "client", "member", "session"),
    "item_id": ("item", "product", "sku", "article", "asin", "content"),
    "action": ("action", "event", "behavi", "type"),
    "ts": ("ts", "timestamp", "time", "date"),
}


def refusal(path: Path, found: Sequence[str]) -> str | None:
    """Why a log with these columns is none of ours, and what to do; None if it may be one."""
    if twice := [name for name in COLUMNS if found.count(name) > 1]:
        return f"has two columns {twice[0]}; rename the one that is not meant"
    missing = [name for name in REQUIRED if name not in found]
    if not missing:
        return None
    if len(found) == 1 and (mark := re.search(r"[;\t|]", found[0])):
        inside = found[0].split(mark[0])
        found_mark = f"its columns are separated by {SEPARATORS[mark[0]]}, not commas"
        return f"{found_mark}; {_advice(path, inside)}"
    for name in found:
        if name.strip() in missing:
            return f"the column {name!r} has a space in its name; write {name.strip()!r}"
    return (
        f"no column {', '.join(missing)}; found {', '.join(found)}; "
        f"expected {', '.join(REQUIRED)}; {_advice(path, found)}"
    )


def encoding_of(head: bytes) -> str:
    """The encoding of a text that begins so: UTF-8, unless it is one that Windows writes."""
    return next((name for name, start in _ENCODINGS.items() if start.match(head)), "utf-8")


def head_fault(path: Path, head: bytes) -> str | None:
    """Why a file that begins so is no text in UTF-8."""
    kind = next((kind for start, kind in KINDS.items() if head.startswith(start)), None)
    if head.startswith(GZIP):
        return f"is packed by gzip, expected text; {_advice(path, ())}"
    if kind is not None:
        return kind
    if (encoding := encoding_of(head)) != "utf-8":
        return f"is {encoding[:6].upper()}, expected UTF-8; {_advice(path, ())}"
    return None


def _advice(path: Path, found: Sequence[str]) -> str:
    """The command that converts a log with these columns, as far as their names tell."""
    guesses = _guesses(found) if found else {}
    maps = [quote(f"{name}={guess}") for name, guess in guesses.items() if name != guess]
    options = "".join(f"--map {pair} " for pair in maps)
    out = "events.jsonl" if path.name != "events.jsonl" else "new-events.jsonl"
    command = f"lately convert table {quote(str(path))} {options}--out {out}"
    return f"`lately convert` reads it: `{command}`"


def _guesses(found: Sequence[str]) -> dict[str, str]:
    """A column for each required field; COLUMN where no name tells."""
    guesses = {name: name for name in REQUIRED if name in found}
    for name in ("ts", *REQUIRED):  # the time first: `event_time` is no event
        free = [column for column in found if column not in guesses.values()]
        named = (c for word in _WORDS[name] for c in free if _has(c, word))
        guesses.setdefault(name, next(named, "COLUMN"))
    return {name: guesses[name] for name in REQUIRED}


def _has(column: str, word: str) -> bool:
    parts = re.split(r"[\W_]+|(?<=[a-z])(?=[A-Z])", column)
    return any(part.lower().startswith(word) for part in parts)
