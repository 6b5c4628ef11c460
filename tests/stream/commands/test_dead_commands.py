"""`lately dead` against a broker: list, show and replay."""

import asyncio
import json
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from stream.events import DeadLetter
from stream.kafka.dead_letters import dead_letter_record
from tests.stream.commands.shop import PARTITIONS, Record, Shop
from tests.stream.fakes import FakeMessage


def letter(
    shop: Shop,
    reason: str,
    message: FakeMessage,
    *,
    source: tuple[int, int] = (1, 5),
    partition: int = 0,
    age_s: int = 0,
    topic: str = "",
) -> Record:
    """A dead letter of a worker; ``source`` is the partition and offset of its message."""
    message.offset = source[1]
    dead = DeadLetter(message, reason, "InvalidMessage", f"the {reason}")  # type: ignore[arg-type]
    key, value, headers = dead_letter_record(topic or shop.settings.events_topic, source[0], dead)
    at_ms = time.time_ns() // 1_000_000 - age_s * 1000
    return Record(key, value, partition, at_ms, headers)


def write(shop: Shop, *records: Record) -> None:
    shop.create()
    shop.write(shop.settings.dead_topic, *records)


def test_list_counts_letters_by_reason_and_shows_the_newest_first(shop: Shop) -> None:
    write(
        shop,
        letter(shop, "bad_time", FakeMessage(b"four", b"u1"), age_s=7_200),
        letter(shop, "not_json", FakeMessage(b"five", b"u2"), partition=2, age_s=90),
        letter(shop, "not_json", FakeMessage(None, None), partition=2, age_s=3 * 86_400),
    )

    answer = shop.lately("dead", "list", "--json").json
    result = shop.lately("dead", "list")

    assert (answer["topic"], answer["letters"]) == (shop.settings.dead_topic, 3)
    assert answer["reasons"] == {"not_json": 2, "bad_time": 1}
    assert [(row["partition"], row["offset"]) for row in answer["newest"]] == [
        (2, 0),
        (0, 0),
        (2, 1),
    ]
    # Key and value: "u2" and "five", "u1" and "four", nothing.
    assert [row["size_bytes"] for row in answer["newest"]] == [2 + 4, 2 + 4, 0]
    assert result.code == 0
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[0] == ["3", "dead", "letters", "in", shop.settings.dead_topic]
    assert lines[1:3] == [["2", "not_json"], ["1", "bad_time"]]
    assert [line[0] for line in lines[5:]] == ["2:0", "0:0", "2:1"]
    assert [line[2:4] for line in lines[5:]] == [["1", "min"], ["2", "h"], ["3", "d"]]


def test_list_can_be_filtered_by_reason_and_limited(shop: Shop) -> None:
    messages = [FakeMessage(b"%d" % n, b"u") for n in range(12)]
    write(
        shop,
        letter(shop, "bad_time", FakeMessage(b"x")),
        *(letter(shop, "not_json", message, age_s=n) for n, message in enumerate(messages)),
    )

    default = shop.lately("dead", "list", "--json").json
    filtered = shop.lately("dead", "list", "--reason", "bad_time", "--json").json
    short = shop.lately("dead", "list", "--limit", "2", "--json").json
    none = shop.lately("dead", "list", "--limit", "0")

    assert (default["letters"], len(default["newest"])) == (13, 10)
    assert (filtered["reasons"], len(filtered["newest"])) == ({"bad_time": 1}, 1)
    assert (short["letters"], len(short["newest"])) == (13, 2)
    assert "newest" not in none.out


def test_list_shows_ages_in_the_largest_unit_that_fits(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages_s = {0: "0 s", 59: "59 s", 60: "1 min", 3_599: "59 min", 3_600: "1 h"}
    ages_s |= {86_399: "23 h", 86_400: "1 d", 2 * 86_400 - 1: "1 d"}
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    write(shop, *(letter(shop, "bad_time", FakeMessage(b"x"), age_s=age_s) for age_s in ages_s))

    rows = shop.lately("dead", "list").out.splitlines()[-len(ages_s) :]

    assert [" ".join(row.split()[2:4]) for row in rows] == list(ages_s.values())


def test_list_of_an_empty_topic_is_one_line(shop: Shop) -> None:
    shop.create()

    result = shop.lately("dead", "list")

    assert (result.code, result.out) == (0, f"0 dead letters in {shop.settings.dead_topic}\n")


def test_show_prints_the_whole_letter_with_unprintable_bytes_escaped(shop: Shop) -> None:
    message = FakeMessage(b"\xff\x1b[31m", b"ann", headers=[("trace", b"\x00"), ("empty", None)])
    write(shop, letter(shop, "not_utf8", message, source=(2, 41)))

    result = shop.lately("dead", "show", "0:0")

    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[:4] == [
        "reason     not_utf8",
        "because    the not_utf8",
        "exception  InvalidMessage",
        f"came from  {shop.settings.events_topic} 2:41",
    ]
    assert lines[4:6] == ["header     trace: \\x00", "header     empty: null"]
    assert lines[-2:] == ["key        ann", "value      \\xff\\x1b[31m"]


def test_show_json_encodes_bytes_that_are_not_text_as_base64(shop: Shop) -> None:
    message = FakeMessage(b"\xff", None, headers=[("trace", b"t")])
    write(shop, letter(shop, "not_utf8", message, source=(2, 41), partition=1))

    answer = shop.lately("dead", "show", "1:0", "--json").json

    assert (answer["partition"], answer["offset"], answer["reason"]) == (1, 0, "not_utf8")
    topic = shop.settings.events_topic
    assert answer["source"] == {"topic": topic, "partition": 2, "offset": "41"}
    assert (answer["key"], answer["value"]) == (None, {"base64": "/w=="})
    assert answer["headers"][0] == ["trace", "t"]
    assert abs(answer["timestamp_ms"] / 1000 - time.time()) < 600


def test_show_of_a_foreign_record_has_no_reason_and_no_source(shop: Shop) -> None:
    write(shop, Record(b"k", b"v"))

    result = shop.lately("dead", "show", "0:0")
    answer = shop.lately("dead", "show", "0:0", "--json").json

    assert result.out.startswith("reason     none: ")
    assert "came from" not in result.out
    assert (answer["reason"], answer["source"], answer["value"]) == ("none", None, "v")


@pytest.mark.parametrize("place", ["0:1", "0:99", f"{PARTITIONS}:0"])
def test_show_of_a_missing_offset_fails_in_one_line(shop: Shop, place: str) -> None:
    write(shop, letter(shop, "bad_time", FakeMessage(b"{}")))

    result = shop.lately("dead", "show", place)

    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert f"no letter at {place}" in result.err


def replayed(shop: Shop, *words: str) -> Any:
    return shop.lately("dead", "replay", *words, "--json").json


def test_replay_sends_letters_unchanged_to_their_source_partition(shop: Shop) -> None:
    first = FakeMessage(b'{"a":1}', b"ann", headers=[("trace", b"\xfe")])
    second = FakeMessage(None, None)
    write(
        shop,
        letter(shop, "bad_time", first, source=(2, 9)),
        letter(shop, "not_json", second, source=(0, 3), partition=1),
        letter(shop, "bad_time", FakeMessage(b"of another"), topic="elsewhere"),
        letter(shop, "bad_time", FakeMessage(b"of no partition"), source=(PARTITIONS, 0)),
        Record(b"k", b"of no worker"),
    )

    answer = replayed(shop, "--all")

    assert (answer["topic"], answer["dry_run"]) == (shop.settings.events_topic, False)
    assert (answer["replayed"], answer["skipped"]) == (2, 3)
    assert answer["reasons"] == {"bad_time": 1, "not_json": 1}
    back = shop.read(shop.settings.events_topic, 2)
    assert [(r.partition, r.key, r.value) for r in back] == [
        (0, None, None),
        (2, b"ann", b'{"a":1}'),
    ]
    assert back[0].headers == (("lately.replayed", b"1:0"),)
    assert back[1].headers == (("trace", b"\xfe"), ("lately.replayed", b"0:0"))


def test_replay_sends_each_named_letter_once(shop: Shop) -> None:
    write(shop, *(letter(shop, "bad_time", FakeMessage(b"%d" % n)) for n in range(3)))

    answer = replayed(shop, "0:2", "0:1", "0:2")

    assert (answer["replayed"], answer["skipped"]) == (2, 0)
    assert [r.value for r in shop.read(shop.settings.events_topic, 2)] == [b"2", b"1"]


def test_replay_by_reason_sends_only_letters_of_that_reason(shop: Shop) -> None:
    write(
        shop,
        letter(shop, "bad_time", FakeMessage(b"time")),
        letter(shop, "not_json", FakeMessage(b"json")),
    )

    result = shop.lately("dead", "replay", "--reason", "not_json")

    topic = shop.settings.events_topic
    assert (result.code, result.out) == (0, f"replayed 1 letters into {topic}: 1 not_json\n")
    assert [r.value for r in shop.read(topic, 1)] == [b"json"]


def test_replay_with_a_missing_offset_sends_nothing(shop: Shop) -> None:
    write(shop, letter(shop, "bad_time", FakeMessage(b"{}"), source=(0, 0)))

    result = shop.lately("dead", "replay", "0:0", "0:7")

    assert result.code == 1 and "no letter at 0:7" in result.err
    shop.write(shop.settings.events_topic, Record(None, b"the first"))
    assert [r.value for r in shop.read(shop.settings.events_topic, 1)] == [b"the first"]


def test_replay_fails_when_the_broker_rejects_a_letter(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop, letter(shop, "bad_time", FakeMessage(b"{}")))

    async def refuse(*arguments: Any, **options: Any) -> "asyncio.Future[Any]":
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(MessageSizeTooLargeError("too large"))
        return refused

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", refuse)

    result = shop.lately("dead", "replay", "--all")

    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert "too large" in result.err


def test_dry_run_reports_what_it_would_send_and_sends_nothing(shop: Shop) -> None:
    write(
        shop,
        letter(shop, "bad_time", FakeMessage(b"{}"), source=(0, 0)),
        Record(None, json.dumps("of no worker").encode()),
    )

    result = shop.lately("dead", "replay", "--all", "--dry-run")

    topic = shop.settings.events_topic
    assert result.out.splitlines() == [
        f"would replay 1 letters into {topic}: 1 bad_time",
        f"skipped 1 that are not from {topic}",
    ]
    shop.write(topic, Record(None, b"the first"))
    assert [r.value for r in shop.read(topic, 1)] == [b"the first"]


@pytest.mark.parametrize(
    "words",
    [
        ("replay",),
        ("replay", "0:0", "--all"),
        ("replay", "--reason", "bad_time", "--all"),
        ("replay", "--reason", "none"),
        ("list", "--reason", "none"),
        ("show", "0-0"),
    ],
)
def test_missing_or_conflicting_selections_are_bad_usage(
    shop: Shop, words: tuple[str, ...]
) -> None:
    result = shop.lately("dead", *words)

    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)


def test_missing_topic_is_reported_with_its_option(shop: Shop) -> None:
    result = shop.lately("dead", "list")

    assert result.code == 1 and "--dead-topic" in result.err
