"""The pseudonyms: user ids that cannot be reversed without the key.

HMAC-SHA256, cut to 32 hexadecimal digits. The same key and id give the same pseudonym everywhere,
so that producers, training logs and consumers of scores agree. Standard library only.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.errors import ModelError

FIELDS = ("user_id", "session_id", "event_id")  # fields of an event that may identify a person
SHORTEST_KEY = 16  # bytes
DIGITS = 32  # of 64: among a billion users, any two collide with a probability of 1 in 10^21


class Pseudonyms:
    """Maps ids to pseudonyms with one key, which it does not expose."""

    def __init__(self, key: bytes) -> None:
        """Raises ``ModelError`` for a key that could be guessed."""
        if len(key) < SHORTEST_KEY:
            raise ModelError(
                f"the key has {len(key)} bytes, expected at least {SHORTEST_KEY}; make one with "
                "`openssl rand -hex 32`"
            )
        self._keyed = hmac.new(key, digestmod="sha256")

    @classmethod
    def from_file(cls, path: Path | str) -> "Pseudonyms":
        """Read the key from a file, without surrounding white space; raises ``ModelError``."""
        try:
            key = Path(path).read_bytes().strip()
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror}); name the file with the key"
            ) from None
        try:
            return cls(key)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None

    def __call__(self, identity: str) -> str:
        """The pseudonym of an id."""
        keyed = self._keyed.copy()
        keyed.update(identity.encode())
        return keyed.hexdigest()[:DIGITS]

    def event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The event with pseudonyms in those of its ``FIELDS`` that are not empty.

        The key of the record in Kafka is the new ``user_id``.
        """
        return {
            name: self(str(value)) if name in FIELDS and value not in (None, "") else value
            for name, value in event.items()
        }
