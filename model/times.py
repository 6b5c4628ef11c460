"""Times: integer milliseconds since 1970, told apart from other units, and parsed from ISO 8601."""

from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# A number is a time if it lies between these two. Below are seconds: as milliseconds they would be
# times before 3 March 1973. Above are microseconds and nanoseconds, at least those since 1978.
FIRST_TS_MS = 100_000_000_000
LAST_TS_MS = 253_402_300_799_999  # the last millisecond of the year 9999
_UNITS = (  # the first number that is taken for a unit, down to that of the next
    (FIRST_TS_MS * 1_000_000_000, None),
    (FIRST_TS_MS * 1_000_000, "nanoseconds"),
    (LAST_TS_MS + 1, "microseconds"),
    (FIRST_TS_MS, "milliseconds"),
    (FIRST_TS_MS // 1000, "seconds"),
)


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


def unit_of(number: float) -> str | None:
    """The unit in which the number is a time since 1970, such as ``seconds``; None for no unit."""
    return next((unit for first, unit in _UNITS if number >= first), None)


def fault_of(number: float) -> str | None:
    """Why the number cannot be an event's time, such as ``looks like seconds``; None if it can.

    Every reader of events keeps to this rule; a converter knows the unit, and needs no guess.
    """
    unit = unit_of(number)
    if unit is None:
        return f"is outside {FIRST_TS_MS}..{LAST_TS_MS} ms"
    if unit != "milliseconds":
        return f"looks like {unit}"
    return None if number == int(number) else "has a fraction"
