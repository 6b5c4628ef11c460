"""Whatever a producer sends, the worker and the oracle say the same of it; needs no broker."""

import json
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.chaos.fuzz import KINDS, fuzzed
from tests.kafka.load import Load
from tests.kafka.message import Message
from tests.kafka.verdicts import of_oracle, of_worker

GOOD = Load(3, [f"i{number}" for number in range(50)], 2_000).messages()
TIMESTAMP_MS = 1_700_000_000_000

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=300),
    st.sampled_from("123"),
)
bodies = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)
FIELDS = (
    "user_id",
    "item_id",
    "action",
    "ts",
    "event_id",
    "session_id",
    "category",
    "price",
    "quantity",
    "x",
)
actions = st.sampled_from(["click", "cart", "buy", "forget", "browse"])
times = st.integers(-1, 1 << 62) | st.datetimes().map(lambda time: f"{time.isoformat()}Z")
likely = {"user_id": st.just("u1"), "item_id": st.just("i"), "action": actions, "ts": times}
events = st.fixed_dictionaries(
    {}, optional={name: likely.get(name, bodies) | bodies for name in FIELDS}
)
headers = st.lists(
    st.tuples(st.sampled_from(["ce_id", "ce_time", "x"]), st.binary(max_size=30)), max_size=2
).map(tuple)
keys = st.sampled_from([b"u1", None, b"", b"u2"]) | st.binary(max_size=5)


def at(value: bytes | None, key: bytes | None = b"u1", *headers: tuple[str, bytes]) -> Message:
    return Message(0, TIMESTAMP_MS, key, value, headers)


@given(st.integers(0, 1 << 32))
@settings(max_examples=2_000, deadline=None)
def test_of_nonsense_of_every_kind(seed: int) -> None:
    random = Random(seed)
    message = fuzzed(random, random.choice(GOOD))

    assert of_worker(message) == of_oracle(message)


def test_of_each_kind_there_is_a_good_deal() -> None:
    # Twenty kinds are promised, and one that never breaks anything would be none.
    random = Random(5)
    broken = {
        number
        for number, kind in enumerate(KINDS)
        for _ in range(200)
        if of_worker(kind(random, random.choice(GOOD))).dead
    }

    assert len(broken) >= 30


@given(events, keys, headers, st.integers(0, 3))
@settings(max_examples=1_000, deadline=None)
def test_of_json_that_is_nearly_an_event(
    body: dict[str, object], key: bytes | None, headers: tuple[tuple[str, bytes], ...], home: int
) -> None:
    value = json.dumps(body, ensure_ascii=home % 2 == 0).encode(errors="surrogatepass")
    message = Message(home, TIMESTAMP_MS, key, value, headers)

    assert of_worker(message) == of_oracle(message)


@given(st.binary(max_size=60) | st.text('[]{}",:\\u0 1e.-x', max_size=60).map(str.encode))
@example(b"[" * 9)
@example(b'"' + b"[" * 9)
@example(b'{"a":"\\\\"[[[[[[[[[')
@example(b"\xef\xbb\xbf{}")
@settings(max_examples=2_000, deadline=None)
def test_of_bytes(value: bytes) -> None:
    assert of_worker(at(value)) == of_oracle(at(value))
