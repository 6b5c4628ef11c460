from datetime import timedelta, timezone

import pytest

from model.times import NoZoneError, parse_iso_ms


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00.5+01:00", 500),
        ("1970-01-01T00:00:01.0019Z", 1_001),  # rounded down
        ("1969-12-31T23:59:59.9999Z", -1),  # before 1970 too
    ],
)
def test_a_time_with_a_zone_is_milliseconds_since_1970(text: str, expected_ms: int) -> None:
    assert parse_iso_ms(text) == expected_ms


def test_the_default_zone_applies_only_to_a_text_without_one() -> None:
    zone = timezone(timedelta(hours=8))

    assert parse_iso_ms("1970-01-01T08:00:00", zone) == 0
    assert parse_iso_ms("1970-01-01T00:00:00Z", zone) == 0


def test_a_text_without_a_zone_or_without_a_time_is_rejected() -> None:
    with pytest.raises(NoZoneError, match="no zone"):
        parse_iso_ms("2026-01-31T12:00:00")
    with pytest.raises(ValueError, match="isoformat"):
        parse_iso_ms("today")
