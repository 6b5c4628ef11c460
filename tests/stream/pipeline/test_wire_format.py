"""What the worker writes, byte for byte: scores, dead letters, receipts and changelog.

Consumers parse these records. A change that breaks the golden file breaks them too, so it needs a
field beside the old ones, never a new golden file. A changelog value is in the newest version of
the state format that it needs.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from model.scorer import Score
from model.sequence import Sequence
from tests.stream.fakes import NOW_MS, EchoScorer, FakeMessage, click, forget
from tests.stream.world import on_a_loop, world

pytestmark = pytest.mark.usefixtures("core")

GOLDEN = Path(__file__).parents[1] / "golden" / "wire-v1.json"


class FullScorer(EchoScorer):
    """Gives every optional field of a score, in numbers that floats do not hold exactly."""

    def score(self, sequences: "list[Sequence]") -> list[Score]:  # type: ignore[override]
        super().score(sequences)
        return [
            Score(
                items=[(sequence.items[-1], 0.1 + 0.2), ("é", 1e-07)],
                categories=[("shoes", 1 / 3)],
                intent={"cart": 0.25, "buy": 0.04},
                quality="full",
                vector=[0.5, -0.125],
                path={"stage": {"browse": 0.75, "buy": 0.25}, "exit": 0.5},
            )
            for sequence in sequences
        ]


def messages() -> list[FakeMessage]:
    """Every kind of message: events good and odd, a forget, and one for each reason to be dead."""
    return [
        click("u1", 0),
        click("u1", 1, action="cart", event_id="e1"),
        click("u1", 2, action="cart", event_id="e1"),  # the producer's duplicate
        click("u2", 3, ts="2026-09-21T14:13:20.5Z"),
        click("u2", 4, ts=NOW_MS - 10_000),  # too late to be placed
        click("u2", 5, ts=NOW_MS + 10_000),  # too far ahead
        click("ü3", 6, item_id="i6", category="shoes", price=1.5, quantity=2, session_id="s"),
        click("u4", 7),
        forget("u4", 8),
        FakeMessage(b"\xff", b"u5", 9, headers=[("trace", b"1"), ("none", None)]),
        FakeMessage(b"{", b"u5", 10),
        FakeMessage(b'{"user_id": "u5", "action": "click", "ts": 1}', b"u5", 11),
        click("u5", 12, ts="yesterday"),
        click("u5", 13, action="stare"),
        FakeMessage(b'"' + b"x" * 10_000, b"u5", 14),
        FakeMessage(click("u5", 15).value, b"u6", 15),
        click("u7", 16, item_id="poison"),
    ]


async def written(directory: Path) -> list[dict[str, Any]]:
    """All records that the worker sends for `messages`, in the order in which they leave."""
    async with world(directory, scorer=FullScorer(poison=["poison"])) as here:
        await here.feed(*messages())
        await here.acknowledge_all()
        await here.feed(click("u1", 17, action="buy"))
        await here.acknowledge_all()
        for _ in range(2):  # a commit lets the forget marker go
            await here.commit()
            await here.acknowledge_all()
        return [
            {
                "topic": sent.topic,
                "partition": sent.partition,
                "key": text(key),
                "value": text(value),
                "headers": [[name, text(content)] for name, content in headers],
            }
            for sent in here.publisher.sent
            for key, value, headers in sent.records
        ]


def text(content: bytes | None) -> str | None:
    """Bytes as text that shows each of them; Latin-1 has a character for every byte."""
    return None if content is None else content.decode("latin-1")


@on_a_loop
async def test_records_are_written_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW_MS / 1000 + 0.25)

    records = await written(tmp_path)

    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    for record in records:
        if record["topic"] == "scores":  # says since whose it is, behind what it said before
            assert record["headers"].pop() == ["lately.group", "shop"]
    assert records == golden["records"]
    assert {record["topic"] for record in records} == {"scores", "dead", "receipts", "changelog"}
