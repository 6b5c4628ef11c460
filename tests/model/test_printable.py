"""Text of other people is shown on one line, without anything that acts on a terminal."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.printable import printable

JOINERS = "\u200c\u200d"


@given(st.text(st.characters(categories=["C", "L", "M", "N", "P", "S", "Z"])))
def test_what_is_shown_neither_acts_nor_ends_a_line(text: str) -> None:
    shown = printable(text)

    assert len(shown.splitlines()) <= 1
    kinds = {unicodedata.category(character) for character in shown if character not in JOINERS}
    assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\x9b31mred", r"\x9b31mred"),  # the same in one byte of Latin 1
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("two\nlines", r"two\nlines"),
        ("two\u2028lines", r"two\u2028lines"),
        ("\u202egnp.exe", r"\u202egnp.exe"),  # would be shown as exe.png
        ("a\u2066b", r"a\u2066b"),
        ("\ufeffann", r"\ufeffann"),  # another id than ann, and looks the same
        ("nul\x00", r"nul\x00"),
        ("\udcff", r"\udcff"),  # a byte of the command line that is no UTF-8
    ],
)
def test_what_has_no_shape_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    ["", "i00001", "服务器 键盘", "e\u0301clair", "no\u00a0break", "全\u3000角", "👩\u200d🚀",
     "می\u200cخواهم", "מקלדת", "[red]x[/red]"],
)  # fmt: skip
def test_what_people_write_stays(text: str) -> None:
    assert printable(text) == text
