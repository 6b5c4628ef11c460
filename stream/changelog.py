"""The changelog's records: a user's value or a tombstone, and how far in the log each goes."""

from collections.abc import Sequence

from stream.publishing import NO_HEADERS, Headers
from stream.state import applied_offset_of

_REACH = "lately.applied_offset"


def headers_of_tombstone(reach: int | None) -> Headers:
    """What a tombstone carries: the offset of the ``forget`` that it obeys, where that is known."""
    return NO_HEADERS if reach is None else [(_REACH, b"%d" % reach)]


def reach_of(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    """The source offset that a record has come to; None for a tombstone that does not say.

    A record of less than one before it was written too late, by a worker that had lost the
    partition and did not know yet. Compaction may have taken away what stood before a tombstone,
    so it must say by itself; one that does not counts where it stands.
    """
    if value is not None:
        return applied_offset_of(value)
    text = dict(headers).get(_REACH)
    return int(text) if text is not None and text.isdigit() else None
