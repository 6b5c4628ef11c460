"""The console: what it shows of a character that its encoding does not have."""

import codecs
import io
import sys

_ERRORS = "lately.nearest"
# What we draw and write; one cell each, so that tables stay aligned.
_NEAREST = dict(zip("✓✗━─│┃…–—−·×≥εδταΣµ", "+x#-||~---.x>edtaSu", strict=True))


def print_every_character() -> None:
    """Let stdout and stderr show something for each character, whatever their encoding.

    A table or an id must not end a command on a console of ASCII or of an old code page. What we
    draw gets the nearest character of ASCII, anything else the escape that JSON has for it.
    """
    codecs.register_error(_ERRORS, _nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _nearest(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(map(_shown, missing)), error.end


def _shown(character: str) -> str:
    if "─" <= character <= "╿":  # the lines of a table
        return _NEAREST.get(character, "+")
    if "⠀" <= character <= "⣿":  # what turns while somebody waits
        return "*"
    return _NEAREST.get(character) or _escape(character)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))
