from datetime import UTC, datetime, timedelta, timezone

import pytest

from model.times import FIRST_TS_MS, LAST_TS_MS, NoZoneError, fault_of, parse_iso_ms, unit_of


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


def since_1970(year: int) -> int:
    """The seconds from 1970 to the first of February of the year."""
    return int(datetime(year, 2, 1, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("year", [1980, 2026, 2100, 5000])
def test_a_moment_is_told_in_each_unit(year: int) -> None:
    units = ("seconds", "milliseconds", "microseconds", "nanoseconds")

    assert [unit_of(since_1970(year) * 1000**power) for power in range(4)] == list(units)


@pytest.mark.parametrize("number", [-1, 0, 99_999_999, FIRST_TS_MS * 10**9, 10**400, float("inf")])
def test_a_number_that_is_no_moment_in_any_unit_has_none(number: float) -> None:
    assert unit_of(number) is None
    assert fault_of(number) == "is outside 100000000000..253402300799999 ms"


@pytest.mark.parametrize(
    ("number", "fault"),
    [
        (FIRST_TS_MS - 1, "looks like seconds"),
        (FIRST_TS_MS, None),  # 3 March 1973
        (LAST_TS_MS, None),
        (LAST_TS_MS + 1, "looks like microseconds"),
        (1_790_000_000_000.5, "has a fraction"),
    ],
)
def test_a_time_lies_between_the_two_bounds(number: float, fault: str | None) -> None:
    assert fault_of(number) == fault
