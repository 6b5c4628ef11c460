"""Whether the offsets in the states on disk are of the events topic that there is."""

import asyncio
from pathlib import Path

import pytest

from stream.kafka.fetching.log_reader import LogReader
from stream.storage.store import StateStore
from tests.stream.commands.shop import Shop


def states(shop: Shop, directory: Path, source_id: str | None) -> None:
    """A state directory, as a worker leaves it."""
    store = StateStore(directory / shop.settings.group, lambda cause: None)
    store.lock()
    store.open(0)
    store.write(0, [(b"u1", b"\1")], 0)
    if source_id is not None:
        store.note_source_id(0, source_id)
    store.close_all()


def topic_id(shop: Shop) -> str | None:
    async def main() -> str | None:
        async with LogReader(shop.settings) as reader:
            source = await reader.read(shop.settings.events_topic)
            return None if source is None else source.id

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("known", "status", "words"),
    [
        ("this", "PASS", "of this topic"),
        ("another", "FAIL", "made anew since"),
        (None, "SKIP", "no state here says"),
    ],
)
def test_states_of_a_topic_that_was_made_anew_fail_with_the_command_that_helps(
    shop: Shop, tmp_path: Path, known: str | None, status: str, words: str
) -> None:
    shop.create()
    states(shop, tmp_path, topic_id(shop) if known == "this" else known)

    result = shop.lately("doctor", "--json", "--http", "127.0.0.1:0", "--state-dir", str(tmp_path))

    (check,) = (c for c in result.json["checks"] if c["what"] == "states")
    assert check["status"] == status
    assert words in check["found"]
    if status == "FAIL":
        assert check["found"].startswith("partition-0: ")
        assert f"--delete --group {shop.settings.group}`" in check["fix"]


def test_without_a_state_directory_nothing_is_compared(shop: Shop) -> None:
    shop.create()

    result = shop.lately("doctor", "--json", "--http", "127.0.0.1:0")

    (check,) = (c for c in result.json["checks"] if c["what"] == "states")
    assert (check["status"], check["found"]) == ("SKIP", "not checked: give --state-dir")
