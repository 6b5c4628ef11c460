"""The pseudonyms: names for users that nobody can turn back who has not the key.

HMAC-SHA256, cut to 32 hexadecimal digits. The same key and id give the same name everywhere, so
that a producer, a training log and whoever reads scores agree. It needs the standard library alone.
"""

import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.errors import ModelError

FIELDS = ("user_id", "session_id", "event_id")  # of an event: what may name a person
SHORTEST_KEY = 16  # bytes
DIGITS = 32  # of 64: among a billion users two are alike with a chance of 1 in 10^21


class Pseudonyms:
    """Gives an id its pseudonym; keeps the key to itself."""

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
        """With the key in a file, white space around it left out; raises ``ModelError``."""
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
        """The event with pseudonyms in its ``FIELDS``, where they hold anything.

        The key of the record in Kafka is the new ``user_id``.
        """
        return {
            name: self(str(value)) if name in FIELDS and value not in (None, "") else value
            for name, value in event.items()
        }
