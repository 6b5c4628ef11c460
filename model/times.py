"""Times: integer milliseconds since 1970, told apart from other units, and parsed from ISO 8601."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal

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
# ISO 8601 date, time of day and zone; `fromisoformat` alone accepts more formats.
_ISO_8601 = re.compile(
    r"\d{4}-?\d{2}-?\d{2}[Tt ]\d{2}:?\d{2}(:?\d{2}([.,]\d+)?)?"
    r"([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?",
    re.ASCII,
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


def unit_of(number: float | Decimal) -> str | None:
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


def event_time_ms(text: str) -> int:
    """An event's time given as text: ISO 8601 with a zone, from the year 1970 to 9999.

    Every reader of events keeps to this rule. Raises ValueError, with a reason in one line.
    """
    if not _ISO_8601.fullmatch(text):
        raise ValueError(f"not an ISO 8601 time{_guess_of(text)}")
    try:
        ts_ms = parse_iso_ms(text.upper())
    except NoZoneError:
        raise ValueError("an ISO 8601 time needs a zone, as in 2026-01-31T12:00:00Z") from None
    except (ValueError, OverflowError):
        raise ValueError("not an ISO 8601 time") from None
    if not 0 <= ts_ms <= LAST_TS_MS:
        raise ValueError("a time before the year 1970 or after the year 9999")
    return ts_ms


def _guess_of(text: str) -> str:
    """What a number that is written as text looks like."""
    unit = None
    with suppress(ValueError):
        unit = unit_of(float(text))
    return f"; the text looks like a number of {unit}" if unit else ""
