"""Every error of Kafka's becomes one line, and its client is silent meanwhile."""

import asyncio
import logging

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from stream.errors import BrokerError, TopicsError
from stream.kafka.connection_errors import broker_errors, missing_topic
from stream.settings import KafkaSettings

NOWHERE = KafkaSettings(bootstrap="127.0.0.1:1")


def described(error: Exception, advice: str) -> str:
    return f"described {type(error).__name__}, advice {advice!r}"


def raised(error: Exception) -> str:
    async def main() -> None:
        async with broker_errors(NOWHERE, described):
            raise error

    with pytest.raises(BrokerError) as found:
        asyncio.run(main())
    assert found.value.__cause__ is error
    return str(found.value)


@pytest.mark.parametrize(
    ("error", "resource"),
    [
        (TopicAuthorizationFailedError("lately.events"), "topic lately.events"),
        (GroupAuthorizationFailedError("lately"), "group lately"),
    ],
)
def test_a_missing_right_names_the_resource_and_how_to_get_it(
    error: KafkaError, resource: str
) -> None:
    assert raised(error) == (
        f"127.0.0.1:1: the broker denies us access to the {resource}; "
        "give our user the rights that deploy/kafka/acls.sh lists"
    )


@pytest.mark.parametrize("error", [KafkaError("gone"), TimeoutError()])
def test_any_other_error_is_described_by_who_used_the_client(error: Exception) -> None:
    # Nobody listens there, which may be temporary, so the probe has no advice.
    assert raised(error) == f"described {type(error).__name__}, advice ''"


def test_an_error_of_ours_passes_as_it_is() -> None:
    missing = missing_topic(NOWHERE, "lately.scores", "--scores-topic")

    async def main() -> None:
        async with broker_errors(NOWHERE, described):
            raise missing

    with pytest.raises(TopicsError) as found:
        asyncio.run(main())
    assert found.value is missing


def test_the_clients_log_is_quiet_in_the_block_and_as_before_after_it() -> None:
    logger = logging.getLogger("aiokafka")
    before = logger.level

    async def main() -> int:
        async with broker_errors(NOWHERE, described):
            return logger.level

    assert asyncio.run(main()) == logging.CRITICAL
    assert logger.level == before
