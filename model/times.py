"""Times: ISO 8601 texts as integer milliseconds since 1970, in UTC."""

from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class NoZoneError(ValueError):
    """A time without a zone, so that nobody can tell when it was."""


def parse_iso_ms(text: str, zone: tzinfo | None = None) -> int:
    """The time rounded down to the millisecond; ``zone`` is that of a text that names none.

    Takes what ``datetime.fromisoformat`` takes. Raises ``ValueError``, with one line, for a text
    that is no time, and ``NoZoneError`` for one that names no zone if ``zone`` is None.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        if zone is None:
            raise NoZoneError(f"the time {text!r} has no zone")
        moment = moment.replace(tzinfo=zone)
    # Not timestamp(): its float rounds the last digit up or down.
    return (moment - _EPOCH) // _MILLISECOND
