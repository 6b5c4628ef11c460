"""The benchmark on a real Kafka: its log stays there, and a small run ends in a page."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from benchmarks import all as everything
from benchmarks import page, results
from benchmarks.measure import topics

pytestmark = pytest.mark.kafka


async def _retention_ms(bootstrap: str, folder: Path) -> str:
    async with topics(bootstrap, 2, folder) as (job, _):
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            topic = ConfigResource(ConfigResourceType.TOPIC, job.source, {"retention.ms": None})
            [answer] = await admin.describe_configs([topic])
        finally:
            await admin.close()
    [(_, _, _, _, [(_, value, *_)])] = answer.resources
    return str(value)


def test_a_log_of_long_ago_is_not_deleted_under_the_engines_eyes(
    bootstrap: str, tmp_path: Path
) -> None:
    # The log is the same for a seed, so its times are fixed; a broker keeps a week by default.
    assert asyncio.run(_retention_ms(bootstrap, tmp_path)) == "-1"


@pytest.mark.timeout(400)  # several engines start, a virtual machine among them
def test_a_small_run_is_checked_and_ends_in_the_page(
    bootstrap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATELY_TEST_BOOTSTRAP", bootstrap)
    document = tmp_path / "performance.md"
    document.write_text(f"# Performance\n\n{page.MARK}\n")
    folders = ["--results", str(tmp_path / "results"), "--page", str(document)]
    small = ["--rounds", "1", "--events", "20000", "--sections", "engine-full"]

    assert everything.main([*folders, *small]) == 0

    found = results.load("engine-full", tmp_path / "results")
    assert found is not None
    measured = {row["engine"]: (row["events"], row["outputs"]) for row in found.rows}
    assert {"Lately", "Kafka Streams", "Quix Streams"} <= set(measured)
    assert measured["Kafka Streams"] == measured["Quix Streams"] == (20_000, 20_000)
    assert "| Kafka Streams |" in document.read_text()
