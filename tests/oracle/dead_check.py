"""The dead letter check (O4): exactly the bad messages, untouched, each with its reason."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import jsonschema

from tests.oracle.evidence import Difference, Evidence
from tests.oracle.ledger import Ledger
from tests.oracle.record import Record

SCHEMAS = Path(__file__).parents[2] / "stream" / "schemas"
_WORDS = json.loads((SCHEMAS / "dead_letter.schema.json").read_text(encoding="utf-8"))
_SCHEMA = jsonschema.Draft202012Validator(_WORDS)
_ORIGIN = "__streams.errors."

Place = tuple[str, str, str]  # topic, partition, offset, as the headers write them


def check_dead_letters(evidence: Evidence, ledger: Ledger) -> Iterator[Difference]:
    """Compare the dead letter topic with the messages that cannot be read."""
    letters: dict[Place, list[Record]] = defaultdict(list)
    for record in evidence.dead:
        letters[_place(record)].append(record)
    expected = {
        (evidence.events_topic, str(partition), str(offset)): dead
        for (partition, offset), dead in ledger.dead.items()
    }
    for place in letters.keys() - expected.keys():
        claimed = dict(letters[place][0].headers).get("lately.reason")
        yield Difference("O4 dead letters", _name(place), f"a letter: {claimed!r}", "none")
    for place, (reason, message) in expected.items():
        found = letters.get(place, [])
        if not 1 <= len(found) <= 1 + evidence.interruptions:
            wanted = f"one of reason {reason} ({evidence.interruptions} interruptions)"
            yield Difference("O4 dead letters", _name(place), f"{len(found)} letters", wanted)
        for letter in found:
            yield from _check_letter(place, reason, message, letter, evidence.n_dead_partitions)


def _check_letter(
    place: Place, reason: str, message: Record, letter: Record, n_partitions: int
) -> Iterator[Difference]:
    headers = {name: (value or b"").decode(errors="replace") for name, value in letter.headers}
    if headers.get("lately.reason") != reason:
        found = f"{headers.get('lately.reason')}: {headers.get(_ORIGIN + 'message')}"
        yield Difference("O4 dead letters", f"{_name(place)}, reason", found, reason)
    if (letter.key, letter.value) != (message.key, message.value):
        found = f"key {letter.key!r}, value {_short(letter.value)}"
        wanted = f"key {message.key!r}, value {_short(message.value)}"
        yield Difference("O4 dead letters", f"{_name(place)}, bytes", found, wanted)
    if letter.headers[: len(message.headers)] != message.headers:
        yield Difference(
            "O4 dead letters", f"{_name(place)}, headers", letter.headers, message.headers
        )
    if letter.partition != message.partition % n_partitions:
        home = message.partition % n_partitions
        yield Difference("O4 dead letters", f"{_name(place)}, partition", letter.partition, home)
    if error := jsonschema.exceptions.best_match(_SCHEMA.iter_errors(headers)):
        yield Difference("O4 dead letters", f"{_name(place)}, headers", error.message, "the schema")


def _place(letter: Record) -> Place:
    headers = {name: (value or b"").decode(errors="replace") for name, value in letter.headers}
    topic, partition, offset = (
        headers.get(_ORIGIN + part, "?") for part in ("topic", "partition", "offset")
    )
    return topic, partition, offset


def _name(place: Place) -> str:
    return f"message {place[0]}[{place[1]}] offset {place[2]}"


def _short(value: bytes | None) -> str:
    if value is None or len(value) <= 60:
        return repr(value)
    return f"{value[:60]!r}… ({len(value)} bytes)"
