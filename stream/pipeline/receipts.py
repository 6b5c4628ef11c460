"""The receipt of a ``forget``: what the worker publishes once the user's score is withdrawn."""

from hashlib import blake2b

import orjson

from stream.events import Event
from stream.kafka.producer import NO_HEADERS, Record


class ReceiptEncoder:
    """Turns an obeyed ``forget`` into a record of the receipts topic.

    It tells which event it is for (schemas/receipt.schema.json), and nothing of who sent it: no
    user id, and no hash that could be tried against a list of ids.
    """

    def __init__(self, events_topic: str, group: str) -> None:
        self._topic = events_topic
        self._group = group

    def encode(self, partition: int, event: Event, now_ms: int) -> Record:
        """The receipt for one event of this partition; sent again, it has the same id."""
        forget = {
            "topic": self._topic,
            "partition": partition,
            "offset": event.offset,
            "ts": event.timestamp_ms,
        }
        receipt = {
            "receipt_id": self._receipt_id(partition, event.offset),
            "forget": forget,
            "forgotten_at": now_ms,
            "group": self._group,
        }
        return b"%d-%d" % (partition, event.offset), orjson.dumps(receipt), NO_HEADERS

    def _receipt_id(self, partition: int, offset: int) -> str:
        text = f"{self._topic}\0{partition}\0{offset}\0{self._group}"
        return blake2b(text.encode(), digest_size=16).hexdigest()
