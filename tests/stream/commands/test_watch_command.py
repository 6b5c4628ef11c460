"""`lately watch` against a broker: lines in a pipe, a live view on a terminal."""

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.stream.commands.shop import Record, Shop
from tests.stream.commands.test_watch import score


class Screen(io.StringIO):
    """The standard output of a command; ends it, as Ctrl-C does, once it has ``enough``."""

    def __init__(self, enough: Callable[[str], bool], terminal: bool = False) -> None:
        super().__init__()
        self._enough, self._terminal = enough, terminal

    def isatty(self) -> bool:
        return self._terminal

    def flush(self) -> None:
        if self._enough(self.getvalue()):
            self._enough = lambda text: False
            raise KeyboardInterrupt


def lines(count: int) -> Callable[[str], bool]:
    return lambda text: text.count("\n") >= count


def watch(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, screen: Screen, *words: str
) -> tuple[int, str]:
    monkeypatch.setattr(sys, "stdout", screen)
    result = shop.lately("watch", "--from-beginning", *words)
    return result.code, screen.getvalue()


def scored(user: str, at_ms: int, partition: int = 0, **changes: Any) -> Record:
    value = json.dumps(score(user) | changes).encode()
    return Record(user.encode(), value, partition, at_ms)


def test_json_prints_scores_one_per_line_in_offset_order(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    shop.write(
        shop.settings.scores_topic,
        scored("u1", 1_000, n_events=1),
        scored("u1", 3_000, n_events=3),
        Record(b"u1", None, 0, 4_000),
        Record(b"u2", None, 0, 5_000, [("lately.cause", b"expired")]),
    )

    code, out = watch(shop, monkeypatch, Screen(lines(4)), "--json")

    first, second, gone, expired = map(json.loads, out.splitlines())
    assert expired == {"user_id": "u2", "expired": True}
    assert code == 0
    assert (first, second["n_events"]) == (score("u1") | {"n_events": 1}, 3)
    assert gone == {"user_id": "u1", "forgotten": True}


def test_watching_one_user_shows_no_other(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.create()
    shop.write(shop.settings.scores_topic, *(scored(f"u{n % 3}", n, n_events=n) for n in range(9)))

    code, out = watch(shop, monkeypatch, Screen(lines(3)), "u1")

    assert code == 0
    assert [line.split("  ")[1] for line in out.splitlines()] == ["u1"] * 3
    assert [line.rsplit("| ")[-1].split()[0] for line in out.splitlines()] == ["1", "4", "7"]


@pytest.mark.parametrize(
    ("words", "seen"), [((), ("u1", "u2", "2 scores")), (("u2",), ("u2", "within 30 min"))]
)
def test_terminal_shows_a_live_view(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], seen: tuple[str, ...]
) -> None:
    shop.create()
    shop.write(shop.settings.scores_topic, scored("u1", 1_000), scored("u2", 2_000))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    screen = Screen(lambda text: all(word in text for word in seen), terminal=True)

    code, out = watch(shop, monkeypatch, screen, *words)

    assert code == 0
    assert "Ctrl-C ends" in out and shop.settings.scores_topic in out


def test_invalid_score_ends_the_command_with_its_partition_and_offset(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    shop.write(shop.settings.scores_topic, Record(b"u1", b"no JSON", 2))

    result = shop.lately("watch", "--from-beginning")

    assert result.code == 1
    assert "partition 2, offset 0 is not a score" in result.err
