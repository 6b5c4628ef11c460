"""`--since` and `--until`: times in ISO 8601, and ages."""

import pytest

from stream.errors import SettingsError
from stream.export.period import Period, as_text

NOW_MS = 1_790_000_000_000  # 2026-09-21T14:13:20Z
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("since", "expected_ms"),
    [
        ("90s", NOW_MS - 90_000),
        ("15min", NOW_MS - 15 * 60_000),
        ("12h", NOW_MS - 12 * 3_600_000),
        ("30d", NOW_MS - 30 * DAY_MS),
        ("4w", NOW_MS - 28 * DAY_MS),
        ("99999999w", 0),  # before 1970: from the first event on
        ("2026-09-21T14:13:20Z", NOW_MS),
        ("2026-09-21T16:13:20+02:00", NOW_MS),
        ("2026-09-21T14:13:20", NOW_MS),
        ("1970-01-02", DAY_MS),
    ],
)
def test_since_is_a_time_or_an_age(since: str, expected_ms: int) -> None:
    assert Period.parse(since, None, NOW_MS).since_ms == expected_ms


@pytest.mark.parametrize("since", ["30", "d", "-1d", "1.5h", "3m", "yesterday", "", "2026-13-01"])
def test_another_text_is_refused_with_what_is_wanted(since: str) -> None:
    with pytest.raises(SettingsError, match=r"--since: .* is neither a time .* nor an age .*30d"):
        Period.parse(since, None, NOW_MS)


def test_the_first_millisecond_belongs_to_a_period_and_the_last_does_not() -> None:
    period = Period.parse("2d", "1d", NOW_MS)
    first, last = NOW_MS - 2 * DAY_MS, NOW_MS - DAY_MS

    assert [ts in period for ts in (first - 1, first, last - 1, last)] == [False, True, True, False]


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(SettingsError, match="--since 1d is not before --until 2d"):
        Period.parse("1d", "2d", NOW_MS)


def test_a_time_is_written_in_utc_to_the_millisecond() -> None:
    assert as_text(NOW_MS + 5) == "2026-09-21T14:13:20.005+00:00"
