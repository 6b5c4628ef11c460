"""The reach of a record: how far in the log its user had come, be it a state, a score or a null.

A record of less than one before it was written too late, by a worker that had lost the partition
and did not know yet.
"""

from collections.abc import Sequence

import orjson

from stream.kafka.producer import NO_HEADERS, Headers
from stream.user_state import applied_offset_of

_REACH = "lately.applied_offset"


def headers_of_null(reach: int | None) -> Headers:
    """What a null carries: the offset of the ``forget`` that it obeys, where that is known.

    Compaction may take away what stood before it, so it must say by itself.
    """
    return NO_HEADERS if reach is None else [(_REACH, b"%d" % reach)]


def reach_of_state(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    """The source offset of a record of the changelog; None for a null that does not say."""
    return _reach_of_null(headers) if value is None else applied_offset_of(value)


def reach_of_score(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    """The source offset of a record of the scores topic; None for what is not one of ours."""
    if value is None:
        return _reach_of_null(headers)
    try:
        return int(orjson.loads(value)["as_of"]["offset"])
    except (ValueError, TypeError, KeyError):
        return None


def _reach_of_null(headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    text = dict(headers).get(_REACH)
    return int(text) if text is not None and text.isdigit() else None
