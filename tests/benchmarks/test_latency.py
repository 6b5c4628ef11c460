"""The latency benchmark: the time from an event to its score, and the table."""

from benchmarks.latency import Figures, Record, table, waits_ms


def test_an_event_waits_for_the_first_score_of_its_user_that_covers_it() -> None:
    events = [Record(b"a", 3, 100), Record(b"a", 5, 110), Record(b"b", 4, 105)]
    scores = [
        Record(b"a", 2, 101),  # of an event before
        Record(b"b", 9, 102),  # of another user
        Record(b"a", 5, 160),  # covers both: they were merged
        Record(b"a", 7, 400),
    ]

    assert list(waits_ms(events, scores)) == [60, 50, -3]


def test_an_event_without_a_score_has_no_wait() -> None:
    assert list(waits_ms([Record(b"a", 3, 100)], [Record(b"a", 2, 150)])) == []


def test_the_table_shows_the_effect_of_a_hot_user_and_of_shedding() -> None:
    rows = [
        Figures("even", 1_000, 10, 10, 0.0, 50, 100, 120),
        Figures("hot key, 80 %", 1_000, 10, 10, 0.0, 50, 150, 160),
        Figures("overload", 8_000, 10, 10, 0.0, 50, 9_000, 9_100),
        Figures("overload, shedding", 8_000, 10, 10, 0.5, 50, 3_000, 3_100),
    ]

    *_, hot, shed = table(rows)

    assert hot.endswith("1.50 ×")
    assert shed.endswith("3.00 ×")
