"""Random events of a few users, as producers send them and broken, and random rules for them."""

from random import Random

from stream.user_state import Rules
from tests.chaos.fuzz import fuzzed
from tests.kafka.message import Message
from tests.stream.fakes import NO_CLOCKS, NOW_MS, FakeMessage, click

USERS = ("u1", "u2", "ü", "user-4711")
LONG = "x" * 256


def random_rules(random: Random) -> Rules:
    return Rules(
        sequence_length=random.choice((1, 3, 8, 50)),
        dedupe_window=random.choice((0, 1, 3, 64)),
        allowed_lateness_ms=random.choice((0, 50, 10**6)),
        max_future_ms=random.choice((0, 100, 10**7)),
        ttl_ms=random.choice((200, 10**9)),
    )


def random_message(random: Random, offset: int) -> FakeMessage:
    clock_ms = NOW_MS + offset * 20 + random.randrange(100)
    message = click(
        random.choice(USERS),
        item_id=random.choice(("i1", "i2", f"i{offset}", "ä🛒", LONG)),
        action=random.choice(("click", "click", "cart", "buy")),
        ts=clock_ms + random.choice((0, 0, 0, -20, -500, 150)),
        event_id=random.choice((None, None, f"e{random.randrange(9)}", LONG)),
        category=random.choice((None, None, "", "shoes", "hats", f"c{offset}")),
        price=random.choice((None, 1, 2.5)),
        shop=random.choice((None, "de", 7, True)),
    )
    message.offset = offset
    message.timestamp = random.choice(NO_CLOCKS) if random.random() < 0.05 else clock_ms
    return message


def broken(random: Random, message: FakeMessage) -> FakeMessage:
    good = Message(0, message.timestamp, message.key, message.value, ())
    changed = fuzzed(random, good)
    headers = tuple(item for item in changed.headers if type(item[0]) is str)
    return FakeMessage(changed.value, changed.key, message.offset, message.timestamp, headers)
