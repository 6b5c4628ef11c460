"""`lately watch` over a broker that is killed and comes back, or stays away."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from stream.commands import scores
from stream.errors import BrokerError
from stream.settings import KafkaSettings
from tests.kafka.broker import Broker, Unavailable
from tests.kafka.client import Client
from tests.kafka.message import Message
from tests.kafka.process import Process, wait_until
from tests.kafka.worker import LATELY, environment

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
TOPIC = "lately.scores"


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "kafka")
    try:
        broker.start()
    except Unavailable as reason:
        pytest.skip(f"no Kafka of our own: {reason}")
    yield broker
    broker.stop()


def publish(broker: Broker, *numbers: int) -> None:
    """Write the score of each of these users, with a client that saw no outage."""
    client = Client(broker.bootstrap)
    if TOPIC not in client.topics():
        client.create_topic(TOPIC, 2, cleanup_policy="compact")
    for n in numbers:
        user = f"u{n}"
        body = json.dumps({"user_id": user}).encode()
        client.produce(TOPIC, [Message(n % 2, 1_790_000_000_000 + n, user.encode(), body)])
    client.close()


def test_a_broker_that_comes_back_is_waited_for_and_no_score_is_left_out(
    own_broker: Broker, tmp_path: Path
) -> None:
    publish(own_broker, 0)
    watch = Process(
        [LATELY, "watch", "--json", "--from-beginning"],
        tmp_path / "watch.log",
        environment({"bootstrap": own_broker.bootstrap}),
    )

    def shown() -> list[str]:
        lines = watch.log.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)["user_id"] for line in lines if line.startswith("{")]

    def said() -> list[str]:
        lines = watch.errors.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.startswith("lately: ")]

    try:
        assert wait_until(lambda: shown() == ["u0"], 60.0), watch.tail()
        own_broker.kill()
        assert wait_until(lambda: len(said()) == 1, 30.0), watch.tail()
        assert "the broker is away; waiting for it, 300 s at most" in said()[0]

        own_broker.resume()
        publish(own_broker, 1, 2, 3)

        assert wait_until(lambda: len(shown()) == 4, 90.0), watch.tail()
        assert sorted(shown()) == ["u0", "u1", "u2", "u3"]
        assert "the broker answers again, after" in said()[1]
        assert (len(said()), watch.exit_code) == (2, None)
    finally:
        watch.close()


def test_a_broker_that_stays_away_ends_the_command_in_one_line(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "OUTAGE_S", 3.0)
    publish(own_broker, 0)

    async def watch() -> None:
        settings = KafkaSettings.load(bootstrap=own_broker.bootstrap)
        async with aclosing(scores.follow_scores(settings, from_beginning=True)) as found:
            async for batch in found:
                if batch:
                    await asyncio.to_thread(own_broker.kill)

    with pytest.raises(BrokerError, match="is away for more than 3 s; start it") as end:
        asyncio.run(watch())
    assert "\n" not in str(end.value)
