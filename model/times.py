"""Times: parses ISO 8601 into integer milliseconds since 1970, in UTC."""

from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class NoZoneError(ValueError):
    """A time without a zone, which is ambiguous."""


def parse_iso_ms(text: str, zone: tzinfo | None = None) -> int:
    """The time, rounded down to the millisecond; ``zone`` applies if the text has none.

    Accepts the formats of ``datetime.fromisoformat``. Raises ``ValueError``, with one line, for a
    text that is not a time, and ``NoZoneError`` if neither the text nor ``zone`` gives a zone.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if zone is None:
            raise NoZoneError(f"the time {text!r} has no zone")
        moment = moment.replace(tzinfo=zone)
    # Not timestamp(): its float rounds the last digit up or down.
    return (moment - _EPOCH) // _MILLISECOND
