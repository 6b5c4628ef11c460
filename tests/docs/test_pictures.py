"""The pictures of the documents load nothing, and the demo's shows the demo."""

import re
from pathlib import Path

import pytest

from docs.images.demo import OUTPUT, last_frame, svg

PICTURES = sorted((Path(__file__).parents[2] / "docs").rglob("*.svg"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_loads_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert re.findall(r"url\((?!['\"]?#)|(?:href|src)=['\"](?!#)", text) == []


def test_the_picture_of_the_demo_is_of_its_live_view() -> None:
    text = OUTPUT.read_text(encoding="utf-8").replace("&#160;", " ")

    assert all(words in text for words in ("wants now", "event to score", "Ctrl-C ends"))


def test_the_last_frame_is_found_between_what_deletes_the_others() -> None:
    delete = "\r\x1b[2K\x1b[1A\x1b[2K"
    written = (
        f"\u2713 worker\r\n\x1b[?25l1 s   Ctrl-C ends\r\nold{delete}2 s   Ctrl-C ends\r\n"
        f"\x1b[1mnew\x1b[0m{delete}\x1b[?25hwaiting{delete}Summary"
    )

    assert last_frame(written) == "2 s   Ctrl-C ends\n\x1b[1mnew\x1b[0m"


def test_a_frame_becomes_a_picture_without_fonts_from_elsewhere() -> None:
    drawn = svg("\x1b[32mscores\x1b[0m")

    assert "scores" in drawn
    assert "@font-face" not in drawn
