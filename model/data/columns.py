"""Foreign columns: what a log may have instead of ours, and the command that converts it."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from model.data.row import REQUIRED

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
# What the columns of other systems are called, as parts of names; the first that fits is taken.
_WORDS = {
    "user_id": ("user", "customer", "visitor", "shopper", "client", "member", "session"),
    "item_id": ("item", "product", "sku", "article", "asin", "content"),
    "action": ("action", "event", "behavi", "type"),
    "ts": ("ts", "timestamp", "time", "date"),
}


def refusal(path: Path, found: Sequence[str]) -> str | None:
    """Why a log with these columns is none of ours, and what to do; None if it may be one."""
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


def is_utf_16(head: bytes) -> bool:
    """Whether a file that begins so is UTF-16, as some spreadsheets save it."""
    return head.startswith((BOM_UTF16_LE, BOM_UTF16_BE))


def encoding_fault(path: Path, head: bytes) -> str | None:
    """Why a file with this beginning cannot be read as text."""
    if is_utf_16(head):
        return f"is UTF-16, expected UTF-8; {_advice(path, ())}"
    return None


def _advice(path: Path, found: Sequence[str]) -> str:
    """The command that converts a log with these columns, as far as their names tell."""
    guesses = _guesses(found) if found else {}
    maps = [quote(f"{name}={guess}") for name, guess in guesses.items() if name != guess]
    options = "".join(f"--map {pair} " for pair in maps)
    command = f"lately convert table {quote(path.name)} {options}--out events.jsonl"
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
