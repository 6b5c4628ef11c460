"""The period of an export: what `--since` and `--until` say, as milliseconds since 1970."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from model.times import LAST_TS_MS, parse_iso_ms
from stream.errors import SettingsError

_UNITS_MS = {"s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_AGE = re.compile(r"(\d{1,9})(s|min|h|d|w)", re.ASCII)


class Period(NamedTuple):
    """From the first millisecond, which belongs to it, to the last, which does not."""

    since_ms: int
    until_ms: int

    @classmethod
    def parse(cls, since: str, until: str | None, now_ms: int) -> "Period":
        """Each is a time in ISO 8601, UTC if it has no zone, or an age before now such as ``30d``.

        Without ``until`` there is no last millisecond. Raises SettingsError.
        """
        since_ms = _parse("--since", since, now_ms)
        until_ms = LAST_TS_MS + 1 if until is None else _parse("--until", until, now_ms)
        if since_ms >= until_ms:
            raise SettingsError(
                f"--since {since} is not before --until {until}; give an earlier --since"
            )
        return cls(since_ms, until_ms)

    @property
    def is_open(self) -> bool:
        """Whether there is no last millisecond."""
        return self.until_ms > LAST_TS_MS

    def __contains__(self, ts_ms: object) -> bool:
        return isinstance(ts_ms, int) and self.since_ms <= ts_ms < self.until_ms


def _parse(flag: str, text: str, now_ms: int) -> int:
    if age := _AGE.fullmatch(text):
        return max(0, now_ms - int(age[1]) * _UNITS_MS[age[2]])
    try:
        return max(0, parse_iso_ms(text, UTC))
    except (ValueError, OverflowError):
        raise SettingsError(
            f"{flag}: {text!r} is neither a time such as 2026-01-31T12:00Z nor an age such as 90s, "
            "15min, 12h, 30d or 4w; give one of these"
        ) from None


def as_text(ts_ms: int) -> str:
    """The time in UTC, to the millisecond, as ISO 8601."""
    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(timespec="milliseconds")
