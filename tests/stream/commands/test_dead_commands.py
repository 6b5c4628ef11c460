"""`lately dead` on a broker: what lies there is counted, shown, and goes back as it was."""

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
    """A dead letter as a worker writes it, of the message at ``source`` of the events topic."""
    message.offset = source[1]
    dead = DeadLetter(message, reason, "InvalidMessage", f"the {reason}")  # type: ignore[arg-type]
    key, value, headers = dead_letter_record(topic or shop.settings.events_topic, source[0], dead)
    at_ms = time.time_ns() // 1_000_000 - age_s * 1000
    return Record(key, value, partition, at_ms, headers)


def write(shop: Shop, *records: Record) -> None:
    shop.create()
    shop.write(shop.settings.dead_topic, *records)


def test_letters_are_counted_by_reason_and_the_newest_come_first(shop: Shop) -> None:
    write(
        shop,
        letter(shop, "bad_time", FakeMessage(b"four", b"u1"), age_s=7_200),
        letter(shop, "not_json", FakeMessage(b"five", b"u2"), partition=2, age_s=90),
        letter(shop, "not_json", FakeMessage(None, None), partition=2, age_s=3 * 86_400),
    )

    answer = shop.lately("dead", "list", "--json").json
    said = shop.lately("dead", "list")

    assert (answer["topic"], answer["letters"]) == (shop.settings.dead_topic, 3)
    assert answer["reasons"] == {"not_json": 2, "bad_time": 1}
    assert [(row["partition"], row["offset"]) for row in answer["newest"]] == [
        (2, 0),
        (0, 0),
        (2, 1),
    ]
    # Key and value: "u2" and "five", "u1" and "four", nothing.
    assert [row["size_bytes"] for row in answer["newest"]] == [2 + 4, 2 + 4, 0]
    assert said.code == 0
    lines = [line.split() for line in said.out.splitlines()]
    assert lines[0] == ["3", "dead", "letters", "in", shop.settings.dead_topic]
    assert lines[1:3] == [["2", "not_json"], ["1", "bad_time"]]
    assert [line[0] for line in lines[5:]] == ["2:0", "0:0", "2:1"]
    assert [line[2:4] for line in lines[5:]] == [["1", "min"], ["2", "h"], ["3", "d"]]


def test_a_list_may_be_of_one_reason_and_as_short_as_one_likes(shop: Shop) -> None:
    messages = [FakeMessage(b"%d" % n, b"u") for n in range(12)]
    write(
        shop,
        letter(shop, "bad_time", FakeMessage(b"x")),
        *(letter(shop, "not_json", message, age_s=n) for n, message in enumerate(messages)),
    )

    by_default = shop.lately("dead", "list", "--json").json
    of_one = shop.lately("dead", "list", "--reason", "bad_time", "--json").json
    short = shop.lately("dead", "list", "--limit", "2", "--json").json
    none = shop.lately("dead", "list", "--limit", "0")

    assert (by_default["letters"], len(by_default["newest"])) == (13, 10)
    assert (of_one["reasons"], len(of_one["newest"])) == ({"bad_time": 1}, 1)
    assert (short["letters"], len(short["newest"])) == (13, 2)
    assert "newest" not in none.out


def test_an_age_is_in_the_largest_unit_that_fits(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages_s = {0: "0 s", 59: "59 s", 60: "1 min", 3_599: "59 min", 3_600: "1 h"}
    ages_s |= {86_399: "23 h", 86_400: "1 d", 2 * 86_400 - 1: "1 d"}
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns)
    write(shop, *(letter(shop, "bad_time", FakeMessage(b"x"), age_s=age_s) for age_s in ages_s))

    rows = shop.lately("dead", "list").out.splitlines()[-len(ages_s) :]

    assert [" ".join(row.split()[2:4]) for row in rows] == list(ages_s.values())


def test_where_nothing_is_dead_the_list_is_one_line(shop: Shop) -> None:
    shop.create()

    said = shop.lately("dead", "list")

    assert (said.code, said.out) == (0, f"0 dead letters in {shop.settings.dead_topic}\n")


def test_a_letter_is_shown_whole_and_what_does_not_print_is_escaped(shop: Shop) -> None:
    message = FakeMessage(b"\xff\x1b[31m", b"ann", headers=[("trace", b"\x00"), ("empty", None)])
    write(shop, letter(shop, "not_utf8", message, source=(2, 41)))

    said = shop.lately("dead", "show", "0:0")

    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[:4] == [
        "reason     not_utf8",
        "because    the not_utf8",
        "exception  InvalidMessage",
        f"came from  {shop.settings.events_topic} 2:41",
    ]
    assert lines[4:6] == ["header     trace: \\x00", "header     empty: null"]
    assert lines[-2:] == ["key        ann", "value      \\xff\\x1b[31m"]


def test_a_letter_for_programs_has_base64_where_it_is_no_text(shop: Shop) -> None:
    message = FakeMessage(b"\xff", None, headers=[("trace", b"t")])
    write(shop, letter(shop, "not_utf8", message, source=(2, 41), partition=1))

    answer = shop.lately("dead", "show", "1:0", "--json").json

    assert (answer["partition"], answer["offset"], answer["reason"]) == (1, 0, "not_utf8")
    topic = shop.settings.events_topic
    assert answer["source"] == {"topic": topic, "partition": 2, "offset": "41"}
    assert (answer["key"], answer["value"]) == (None, {"base64": "/w=="})
    assert answer["headers"][0] == ["trace", "t"]
    assert abs(answer["timestamp_ms"] / 1000 - time.time()) < 600


def test_a_record_that_no_worker_wrote_has_no_reason_and_no_source(shop: Shop) -> None:
    write(shop, Record(b"k", b"v"))

    said = shop.lately("dead", "show", "0:0")
    answer = shop.lately("dead", "show", "0:0", "--json").json

    assert said.out.startswith("reason     none: ")
    assert "came from" not in said.out
    assert (answer["reason"], answer["source"], answer["value"]) == ("none", None, "v")


@pytest.mark.parametrize("place", ["0:1", "0:99", f"{PARTITIONS}:0"])
def test_where_no_letter_lies_is_said_in_one_line(shop: Shop, place: str) -> None:
    write(shop, letter(shop, "bad_time", FakeMessage(b"{}")))

    said = shop.lately("dead", "show", place)

    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert f"no letter at {place}" in said.err


def replayed(shop: Shop, *words: str) -> Any:
    return shop.lately("dead", "replay", *words, "--json").json


def test_letters_go_back_to_the_partition_they_came_from_as_they_were(shop: Shop) -> None:
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


def test_only_the_letters_that_are_named_go_back_and_each_once(shop: Shop) -> None:
    write(shop, *(letter(shop, "bad_time", FakeMessage(b"%d" % n)) for n in range(3)))

    answer = replayed(shop, "0:2", "0:1", "0:2")

    assert (answer["replayed"], answer["skipped"]) == (2, 0)
    assert [r.value for r in shop.read(shop.settings.events_topic, 2)] == [b"2", b"1"]


def test_of_one_reason_only_its_letters_go_back(shop: Shop) -> None:
    write(
        shop,
        letter(shop, "bad_time", FakeMessage(b"time")),
        letter(shop, "not_json", FakeMessage(b"json")),
    )

    said = shop.lately("dead", "replay", "--reason", "not_json")

    topic = shop.settings.events_topic
    assert (said.code, said.out) == (0, f"replayed 1 letters into {topic}: 1 not_json\n")
    assert [r.value for r in shop.read(topic, 1)] == [b"json"]


def test_a_place_without_a_letter_sends_none_of_the_others(shop: Shop) -> None:
    write(shop, letter(shop, "bad_time", FakeMessage(b"{}"), source=(0, 0)))

    said = shop.lately("dead", "replay", "0:0", "0:7")

    assert said.code == 1 and "no letter at 0:7" in said.err
    shop.write(shop.settings.events_topic, Record(None, b"the first"))
    assert [r.value for r in shop.read(shop.settings.events_topic, 1)] == [b"the first"]


def test_what_the_broker_does_not_take_is_not_said_to_be_replayed(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(shop, letter(shop, "bad_time", FakeMessage(b"{}")))

    async def refuse(*arguments: Any, **options: Any) -> "asyncio.Future[Any]":
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(MessageSizeTooLargeError("too large"))
        return refused

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", refuse)

    said = shop.lately("dead", "replay", "--all")

    assert (said.code, said.out, said.err.count("\n")) == (1, "", 1)
    assert "too large" in said.err


def test_a_dry_run_sends_nothing_and_says_what_it_would(shop: Shop) -> None:
    write(
        shop,
        letter(shop, "bad_time", FakeMessage(b"{}"), source=(0, 0)),
        Record(None, json.dumps("of no worker").encode()),
    )

    said = shop.lately("dead", "replay", "--all", "--dry-run")

    topic = shop.settings.events_topic
    assert said.out.splitlines() == [
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
def test_what_does_not_say_which_letters_is_bad_usage(shop: Shop, words: tuple[str, ...]) -> None:
    said = shop.lately("dead", *words)

    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)


def test_without_the_topic_the_option_that_names_it_is_told(shop: Shop) -> None:
    said = shop.lately("dead", "list")

    assert said.code == 1 and "--dead-topic" in said.err
