"""The benchmark's log stays on the broker for as long as a run needs it."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

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
