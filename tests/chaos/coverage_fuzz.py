"""The fuzz that is led by coverage: messages that take the validator where it has not been.

``python -m tests.chaos.coverage_fuzz CORPUS [-max_total_time=60 …]``: libFuzzer's options. What the
worker and the oracle do not see alike ends it, and is left in a file; so does what the native core,
if it is there, makes of a message that the worker makes something else of.
"""

import json
import sys
from pathlib import Path
from random import Random

import atheris

with atheris.instrument_imports(include=["stream.events", "tests.oracle.message"]):
    from tests.kafka.verdicts import PARTITIONS, of_oracle, of_worker

from model import native
from tests.chaos.fuzz import fuzzed
from tests.kafka.load import Load
from tests.kafka.message import Message
from tests.native.folds import Native, Reference
from tests.stream.fakes import FakeMessage
from tests.stream.test_user_state_laws import RULES

TIMESTAMP_MS = 1_700_000_000_000
SEEDS = 300
HEADERS = ("ce_id", "ce_time")


def message_of(data: bytes) -> Message:
    """A byte for partition, absence of a key and headers; key, header and value after a zero each.

    Every string of bytes is a message, and a small change of one is a small change of the other.
    """
    flags = data[0] if data else 0
    key, text, value = [*data[1:].split(b"\0", 2), b"", b""][:3]
    headers = tuple((name, text) for bit, name in enumerate(HEADERS) if flags >> (3 + bit) & 1)
    return Message(flags % PARTITIONS, TIMESTAMP_MS, None if flags & 4 else key, value, headers)


def data_of(message: Message) -> bytes:
    """The bytes that `message_of` makes nearly this message of."""
    named = dict(message.headers)
    flags = message.partition | 4 * (message.key is None)
    flags |= sum(8 << bit for bit, name in enumerate(HEADERS) if name in named)
    text = named.get("ce_id") or named.get("ce_time") or b""
    parts = (message.key or b"", text, message.value or b"")
    return bytes([flags]) + b"\0".join(parts)


def plant(corpus: Path) -> None:
    """Begin with good messages, and with broken ones of every kind."""
    corpus.mkdir(parents=True, exist_ok=True)
    random = Random(0)
    for number, message in enumerate(Load(0, ["i1", "i2"], SEEDS).messages()):
        changed = message if number % 2 else fuzzed(random, message)
        if len(data := data_of(changed)) < 1000:
            (corpus / f"planted-{number}").write_bytes(data)


def repeats_a_name(value: bytes) -> bool:
    """Whether an object says a name twice, which RFC 8259 gives no meaning."""
    repeated = []

    def see(pairs: list[tuple[str, object]]) -> None:
        repeated.append(len(dict(pairs)) < len(pairs))

    try:
        json.loads(value, object_pairs_hook=see)
    except (ValueError, RecursionError):
        return False
    return any(repeated)


def check(data: bytes) -> None:
    """Raise where the worker and the oracle differ."""
    message = message_of(data)
    said, expected = of_worker(message), of_oracle(message)
    if said != expected and not repeats_a_name(message.value or b""):
        raise AssertionError(f"{message}: the worker says {said}, the oracle {expected}")
    if native.AVAILABLE:
        check_native(message)


def check_native(message: Message) -> None:
    """Raise where the native core and the worker differ."""
    fields = (message.value, message.key, 0, message.timestamp_ms, message.headers)
    folded, expected = (by(RULES).fold([FakeMessage(*fields)]) for by in (Native, Reference))
    if folded != expected:
        raise AssertionError(f"{message}: the core says {folded}, the worker {expected}")


if __name__ == "__main__":
    plant(Path(sys.argv[1]))
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()
