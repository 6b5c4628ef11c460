"""The lag of a partition, from the four offsets and the two times that it is made of."""

import pytest

from stream.worker.lag import Lag, lag_of

NOW_MS = 1_790_000_000_000.0


@pytest.mark.parametrize(
    ("end", "safe", "committed", "oldest_ms", "expected"),
    [
        pytest.param(9, 4, 3, NOW_MS - 7_000, (5, 6, 7.0), id="behind"),
        pytest.param(9, 9, 9, NOW_MS - 7_000, (0, 0, 0.0), id="all done"),
        # Retention has emptied it: nothing is behind, though its end is not 0.
        pytest.param(5_000, 5_000, 5_000, None, (0, 0, 0.0), id="emptied"),
        # Until the first commit it is unknown how much of the log the group still wants.
        pytest.param(5_010, 5_000, None, None, (10, None, None), id="never committed"),
        pytest.param(5_010, None, None, None, (None, None, None), id="just assigned"),
        # Such as a topic that is cut, or an end of before the last commit: never below zero.
        pytest.param(3, 9, 9, NOW_MS - 7_000, (0, 0, 0.0), id="cut"),
        pytest.param(9, 4, 3, NOW_MS + 60_000, (5, 6, 0.0), id="a record of the future"),
        pytest.param(9, 4, 3, None, (5, 6, None), id="records without a clock"),
    ],
)
def test_what_is_unknown_has_no_lag_and_none_is_below_zero(
    end: int,
    safe: int | None,
    committed: int | None,
    oldest_ms: float | None,
    expected: tuple[int | None, int | None, float | None],
) -> None:
    def of_3(value: float | None) -> dict[int, int]:
        return {} if value is None else {3: int(value)}

    lag = lag_of({3: end}, of_3(safe), of_3(committed), of_3(oldest_ms), NOW_MS)

    assert tuple(values.get(3) for values in lag) == expected


def test_a_partition_that_is_gone_has_no_lag() -> None:
    """Its end is not reported any more, whatever was read and committed of it."""
    assert lag_of({}, {3: 4}, {3: 4}, {3: 5}, NOW_MS) == Lag({}, {}, {})
