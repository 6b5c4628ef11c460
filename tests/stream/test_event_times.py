"""The time of an event: milliseconds, or ISO 8601 with a zone; CloudEvents headers come first."""

import pytest

from model.times import FIRST_TS_MS, LAST_TS_MS
from stream.settings import WorkerSettings
from stream.user_state import UserState
from tests.stream.fakes import NO_CLOCKS, NOW_MS, FakeMessage, click, forget
from tests.stream.verdicts import only_dead, only_event, with_text


@pytest.mark.parametrize("ts", [FIRST_TS_MS, NOW_MS, LAST_TS_MS])
def test_milliseconds_from_1973_to_the_year_9999_are_times(ts: int) -> None:
    assert only_event(click(ts=ts)).ts_ms == ts


@pytest.mark.parametrize(
    "text",
    [
        *(
            "-1",
            "0",
            str(FIRST_TS_MS - 1),
            str(LAST_TS_MS + 1),
            "9" * 30,
            "1790000000000.0",
            "1.79e12",
            "1.5",
        ),
        *("true", "false", "null", "[]", "{}", '""', '"1790000000000"', '"yesterday"'),
    ],
)
def test_what_is_no_time_is_bad_time(text: str) -> None:
    assert only_dead(with_text("ts", text)).reason == "bad_time"


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("1788001910", "seconds"),  # `date +%s`
        ("1788001910.25", "seconds"),  # Python's time.time()
        ("1788001910348000", "microseconds"),
        ("1788001910348000000", "nanoseconds"),  # time.time_ns()
    ],
)
def test_a_time_in_another_unit_is_bad_time_and_the_letter_names_the_unit(
    text: str, unit: str
) -> None:
    letter = only_dead(with_text("ts", text))

    assert letter.reason == "bad_time"
    assert letter.text == f"ts looks like {unit}; send milliseconds since the epoch"


@pytest.mark.parametrize(
    ("ts", "told"),
    [
        ("1788001910", "not an ISO 8601 time; the text looks like a number of seconds"),
        ("1788001910.25", "not an ISO 8601 time; the text looks like a number of seconds"),
        (str(NOW_MS), "not an ISO 8601 time; the text looks like a number of milliseconds"),
        (f"{NOW_MS}000", "not an ISO 8601 time; the text looks like a number of microseconds"),
        ("20260131", "not an ISO 8601 time"),  # a day, and a number of no unit
        ("nan", "not an ISO 8601 time"),
        ("2026-01-31T12:00:00", "an ISO 8601 time needs a zone, as in 2026-01-31T12:00:00Z"),
    ],
)
def test_a_number_in_quotes_is_bad_time_and_the_letter_names_what_it_looks_like(
    ts: str, told: str
) -> None:
    letter = only_dead(click(ts=ts))

    assert (letter.reason, letter.text) == ("bad_time", told)


def test_a_time_that_is_not_there_is_bad_time() -> None:
    assert only_dead(click(ts=None)).reason == "bad_time"


DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "ts_ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-02T00:00:00Z", DAY_MS),
        ("1970-01-02T01:00:00+01:00", DAY_MS),
        ("1970-01-01T23:30:00-00:30", DAY_MS),
        ("1970-01-02T00:00:00.5Z", DAY_MS + 500),
        ("1970-01-02T00:00:00.123999Z", DAY_MS + 123),  # cut, not rounded
        ("9999-12-31T23:59:59.999Z", LAST_TS_MS),
    ],
)
def test_a_zoned_time_of_iso_8601_is_milliseconds(text: str, ts_ms: int) -> None:
    assert only_event(click(ts=text)).ts_ms == ts_ms


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T12:00:00",  # no zone
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:00:00+00:01",  # a minute before the epoch
        "9999-12-31T23:59:59-00:01",  # a minute after the last
        "0001-01-01T00:00:00+23:59",
        "2026-02-30T12:00:00Z",
        "2026-01-31T12:00:60Z",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00+05:75",
        "2026-01-31T12:00:00-88:00",
    ],
)
def test_a_time_without_a_zone_or_outside_the_range_is_bad_time(text: str) -> None:
    assert only_dead(click(ts=text)).reason == "bad_time"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00\0Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31X12:00:00Z",
        "2026-01-31T12:00:00 +01:00",
    ],
)
def test_what_only_looks_like_a_time_is_bad_time(text: str) -> None:
    assert only_dead(click(ts=text)).reason == "bad_time"


# --- the record's own time --------------------------------------------------------------------


@pytest.mark.parametrize("stamp", NO_CLOCKS)
@pytest.mark.parametrize("headers", [[], [("traceparent", b"")]], ids=["usual", "by one"])
def test_a_record_timestamp_that_cannot_be_a_time_is_no_clock(
    stamp: int, headers: list[tuple[str, bytes]]
) -> None:
    """As one, a 0 or seconds would put every action to 1970, and end the history by its age."""
    message = click()
    message.timestamp, message.headers = stamp, headers

    event = only_event(message)

    assert (event.timestamp_ms, event.ts_ms) == (-1, NOW_MS)


@pytest.mark.parametrize("stamp", [FIRST_TS_MS, NOW_MS, LAST_TS_MS])
def test_a_record_timestamp_that_can_be_a_time_is_the_clock(stamp: int) -> None:
    message = click()
    message.timestamp = stamp

    assert only_event(message).timestamp_ms == stamp


@pytest.mark.parametrize("stamp", NO_CLOCKS)
def test_a_history_survives_records_without_a_clock(stamp: int) -> None:
    rules = WorkerSettings.load(artifact="model", state_dir="state").rules
    state = UserState()
    outcomes = []
    for offset, timestamp in enumerate((NOW_MS, stamp, NOW_MS + 1)):
        message = click(offset=offset, ts=NOW_MS + offset)
        message.timestamp = timestamp
        outcomes.append(state.apply(only_event(message), rules))

    assert outcomes == ["applied"] * 3
    assert state.times_ms == [NOW_MS, NOW_MS + 1, NOW_MS + 2]


# --- CloudEvents headers ---------------------------------------------------------------------


def with_headers(message: FakeMessage, **headers: bytes) -> FakeMessage:
    message.headers = list(headers.items())
    return message


def test_a_cloudevents_time_and_id_win_over_the_body() -> None:
    message = with_headers(
        click(ts=5, event_id="body"), ce_id=b"header", ce_time=b"1970-01-02T00:00:00Z"
    )

    event = only_event(message)

    assert (event.event_id, event.ts_ms) == ("header", DAY_MS)


@pytest.mark.parametrize("ts", [None, True, "yesterday", 1.5])
def test_a_cloudevents_time_makes_up_for_a_bad_one_in_the_body(ts: object) -> None:
    message = with_headers(click(ts=ts), ce_time=b"1970-01-02T00:00:00Z")

    assert only_event(message).ts_ms == DAY_MS


@pytest.mark.parametrize(
    "ce_time", [b"", b"1790000000000", b"2026-01-31T12:00:00", b"\xff", b"2026-01-31T12:00:00\xffZ"]
)
def test_a_bad_cloudevents_time_is_bad_time_whatever_the_body_says(ce_time: bytes) -> None:
    assert only_dead(with_headers(click(), ce_time=ce_time)).reason == "bad_time"


@pytest.mark.parametrize("ce_id", [b"", b"\xff", b"x" * 257, "ü".encode() * 257])
def test_a_cloudevents_id_is_a_text_of_1_to_256_characters(ce_id: bytes) -> None:
    assert only_dead(with_headers(click(), ce_id=ce_id)).reason == "bad_schema"


def test_a_cloudevents_id_may_have_256_characters_of_any_kind() -> None:
    assert only_event(with_headers(click(), ce_id="ü".encode() * 256)).event_id == "ü" * 256


def test_other_headers_are_ignored_and_names_are_taken_by_the_letter() -> None:
    message = with_headers(click(event_id="e"), CE_ID=b"x", ce_source=b"\xff", traceparent=b"")

    event = only_event(message)

    assert (event.event_id, event.ts_ms) == ("e", NOW_MS)


def test_a_header_without_a_value_is_no_header() -> None:
    message = click(event_id="e")
    message.headers = [("ce_id", None), ("ce_time", None)]  # as Kafka may

    assert only_event(message).event_id == "e"


def test_a_forget_does_not_look_at_the_cloudevents_time() -> None:
    assert only_event(with_headers(forget(), ce_time=b"yesterday")).action == "forget"
