"""The event or dead letter that the validator makes of one message."""

from stream.events import DeadLetter, Event, Message, Validator
from tests.stream.fakes import FakeMessage, click_with

HOME = 3  # the partition that every user here hashes to
MAX_BYTES = 2000
VALIDATOR = Validator(frozenset({"click", "cart", "buy"}), MAX_BYTES, lambda _: HOME)


def only_event(message: Message) -> Event:
    """The event that it is."""
    (event,), dead = VALIDATOR.validate([message], HOME)
    assert dead == []
    return event


def only_dead(message: Message, partition: int = HOME) -> DeadLetter:
    """The dead letter that it is."""
    events, (dead,) = VALIDATOR.validate([message], partition)
    assert events == []
    return dead


def with_text(name: str, text: str) -> FakeMessage:
    """A click whose field ``name`` is this raw JSON."""
    message = click_with(name, "HERE")
    assert message.value is not None
    message.value = message.value.replace(b'"HERE"', text.encode())
    return message
