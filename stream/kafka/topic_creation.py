"""Topic creation: asks the broker for topics that are missing, and waits until they are there."""

import asyncio

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from stream.errors import TopicsError
from stream.kafka.topic_checks import Topic

TIMEOUT_S = 5.0


async def create_missing(
    admin: AIOKafkaAdminClient,
    topics: dict[str, Topic],
    wanted: dict[str, dict[str, str]],
    partitions: int,
    replication: int,
) -> list[str]:
    """Create the wanted topics that are missing, and wait until the broker shows them."""
    missing = [
        NewTopic(name, partitions, replication, topic_configs=config)
        for name, config in wanted.items()
        if name not in topics
    ]
    if not missing:
        return []
    answer = await admin.create_topics(missing)
    for name, code, message in answer.topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):  # another worker may have been faster
            reason = message or for_code(code).__name__
            raise TopicsError(
                f"{name}: the broker does not create it ({reason}); create it yourself, or grant "
                "us the right: deploy/kafka/acls.sh"
            )
    created = [topic.name for topic in missing]
    async with asyncio.timeout(TIMEOUT_S):
        while not set(created) <= {topic["topic"] for topic in await admin.describe_topics()}:
            await asyncio.sleep(0.05)
    return created
