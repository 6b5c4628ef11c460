"""Text of other people, such as an id or a title, as a terminal may show it."""

import unicodedata

# They join letters and emoji, and move nothing.
_JOINERS = frozenset("\u200c\u200d")


def printable(text: str) -> str:
    """The text on one line; what has no shape of its own becomes an escape, as Python writes it.

    An id may hold whatever JSON can: sequences that recolour a terminal, rename its window or turn
    the direction of what follows, and ends of lines that make one line two.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def shortened(text: str, cells: int) -> str:
    """The same, of at most so many cells of a terminal."""
    from rich.cells import cell_len, set_cell_size

    whole = printable(text)
    if cell_len(whole) <= cells:
        return whole
    return f"{set_cell_size(whole, cells - 1).rstrip()}…"


def _shown(character: str) -> str:
    if character.isprintable() or character in _JOINERS or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode()
