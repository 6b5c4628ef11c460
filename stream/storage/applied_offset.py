"""The applied offset of a record: the source offset up to which its user's events are in it.

Changelog values, scores and tombstones all have one. A record with a lower applied offset than an
earlier record of the same user is stale: a worker wrote it that had lost the partition and did not
know it yet.
"""

from collections.abc import Sequence

import orjson

from stream.kafka.producer import NO_HEADERS, Headers
from stream.user_state import applied_offset_of

_HEADER = "lately.applied_offset"
_CAUSE = "lately.cause"
_EXPIRED = b"expired"


def tombstone_headers(applied_offset: int | None) -> Headers:
    """The headers of a tombstone: the offset of the ``forget`` it obeys, where that is known.

    Compaction may remove the records before it, so the tombstone must carry the offset itself.
    """
    return NO_HEADERS if applied_offset is None else [(_HEADER, b"%d" % applied_offset)]


def expiry_headers(applied_offset: int) -> Headers:
    """The headers of a tombstone of a user who expired after the event of this offset."""
    return [*tombstone_headers(applied_offset), (_CAUSE, _EXPIRED)]


def is_expiry(headers: Sequence[tuple[str, bytes | None]]) -> bool:
    """Whether a tombstone is that of a user who expired, and not of one who was forgotten."""
    return (_CAUSE, _EXPIRED) in headers


def applied_offset_of_state(
    value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> int | None:
    """Of a changelog record; None for a tombstone that does not carry one."""
    return _of_tombstone(headers) if value is None else applied_offset_of(value)


def applied_offset_of_score(
    value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> int | None:
    """Of a record of the scores topic; None for a record that is not a score of ours."""
    if value is None:
        return _of_tombstone(headers)
    try:
        return int(orjson.loads(value)["as_of"]["offset"])
    except (ValueError, TypeError, KeyError):
        return None


def _of_tombstone(headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    text = dict(headers).get(_HEADER)
    return int(text) if text is not None and text.isdigit() else None
