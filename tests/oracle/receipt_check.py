"""The receipt check (O9): one receipt for every forget event, of that event, and of nobody."""

import json
from collections import defaultdict
from collections.abc import Iterator

import jsonschema

from tests.oracle.dead_check import SCHEMAS
from tests.oracle.evidence import Difference, Evidence
from tests.oracle.hashing import receipt_id
from tests.oracle.ledger import Ledger
from tests.oracle.record import Record

_WORDS = json.loads((SCHEMAS / "receipt.schema.json").read_text(encoding="utf-8"))
_SCHEMA = jsonschema.Draft202012Validator(_WORDS)


def check_receipts(evidence: Evidence, ledger: Ledger) -> Iterator[Difference]:
    """Compare the receipts topic with the wishes to be forgotten."""
    receipts: dict[bytes | None, list[Record]] = defaultdict(list)
    for record in evidence.receipts:
        receipts[record.key].append(record)
    removed = ledger.removed
    expected = {
        f"{event.partition}-{event.offset}".encode(): event
        for event in evidence.events
        if (event.partition, event.offset) in removed
    }
    for key in receipts.keys() - expected.keys():
        yield Difference("O9 receipts", _name(key), f"{len(receipts[key])} receipts", "none")
    for key, event in expected.items():
        found = receipts.get(key, [])
        if not 1 <= len(found) <= 1 + evidence.interruptions:
            wanted = f"one ({evidence.interruptions} interruptions)"
            yield Difference("O9 receipts", _name(key), f"{len(found)} receipts", wanted)
        for receipt in found:
            had = removed[event.partition, event.offset]
            yield from _check_receipt(evidence, event, receipt, had)


def _check_receipt(
    evidence: Evidence, event: Record, receipt: Record, removed: bool
) -> Iterator[Difference]:
    where = _name(receipt.key)
    home = event.partition % evidence.n_receipt_partitions
    if receipt.partition != home:
        yield Difference("O9 receipts", f"{where}, partition", receipt.partition, home)
    if receipt.headers:
        yield Difference("O9 receipts", f"{where}, headers", receipt.headers, "none")
    try:
        document = json.loads(receipt.value or b"")
    except ValueError:
        yield Difference("O9 receipts", f"{where}, value", receipt.value, "JSON")
        return
    if error := jsonschema.exceptions.best_match(_SCHEMA.iter_errors(document)):
        yield Difference("O9 receipts", f"{where}, value", error.message, "the schema")
        return
    topic, partition, offset = evidence.events_topic, event.partition, event.offset
    wanted = {
        "receipt_id": receipt_id(topic, partition, offset, evidence.group),
        "forget": {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "ts": event.timestamp_ms,
        },
        "group": evidence.group,
        "removed": removed,
    }
    for field, value in wanted.items():
        if document.get(field) != value:
            yield Difference("O9 receipts", f"{where}, {field}", document.get(field), value)


def _name(key: bytes | None) -> str:
    return f"forget {key!r}"
