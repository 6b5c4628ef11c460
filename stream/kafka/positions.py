"""Read positions: whether a consumer has caught up with a partition."""

from aiokafka import AIOKafkaConsumer, TopicPartition


async def is_caught_up(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
    """Whether everything is read that the broker had when it answered the last fetch."""
    # Of all end offsets, only the one in a fetch response is right on every broker.
    end = consumer.highwater(tp)
    return end is not None and await consumer.position(tp) >= end
