"""The doctor on recent events: how many are dead letters, and what the model does not know."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from model.scorer import ANYTHING, Vocabulary
from stream.commands import doctor
from stream.commands.doctor_checks.doctor_events import (
    NEWEST,
    assess_dead_letters,
    assess_vocabulary,
)
from stream.commands.doctor_checks.doctor_machine import Check
from stream.events import DeadLetter, Event, Reason
from stream.kafka import command_clients
from stream.kafka.fetching.lenient_headers import LenientConsumer
from tests.stream.commands.shop import PARTITIONS, Record, Shop
from tests.stream.fakes import click, event, forget

DEMO = Path(__file__).parents[4] / "model" / "demo_artifact"
ACCEPTED = ("click", "cart", "buy")
SHOP = Vocabulary(frozenset({"click", "buy"}), {"i1", "i2"})


def letter(reason: Reason = "not_json", **fields: Any) -> DeadLetter:
    return DeadLetter(click(**fields), reason, "Invalid", "")


def actions(*items: str, action: str = "click") -> list[Event]:
    return [event(offset, item=item, action=action) for offset, item in enumerate(items)]


@pytest.mark.parametrize(
    ("valid", "dead", "status"),
    [
        (1000, 0, "PASS"),
        (990, 10, "PASS"),  # one in a hundred, where the alert begins, is not yet above it
        (989, 11, "WARN"),
        (0, 11, "FAIL"),
    ],
)
def test_more_than_one_dead_letter_in_a_hundred_is_a_warning_and_nothing_else_a_failure(
    valid: int, dead: int, status: str
) -> None:
    assert assess_dead_letters(valid, [letter()] * dead).status == status


def test_the_reasons_and_the_unknown_actions_are_named_by_number() -> None:
    dead = [
        letter("unknown_action", action="purchase"),
        letter("unknown_action", action="view"),
        letter("unknown_action", action="view\n"),
        letter("unknown_action", action="view"),
        letter("bad_time", ts="yesterday"),
    ]

    check = assess_dead_letters(5, dead)

    assert check.found == "50.0% of the newest 10 are dead letters (4 unknown_action, 1 bad_time)"
    assert r"view, purchase, view\n: name those that you want by --actions" in check.fix


@pytest.mark.parametrize(
    ("events", "shares", "status"),
    [
        (actions("i1", "i2"), ("0.0%", "0.0%"), "PASS"),
        (actions("i1", "new"), ("0.0%", "50.0%"), "PASS"),
        (actions("i1", "new", "newer"), ("0.0%", "66.7%"), "WARN"),
        (actions("i1") + actions("i2", action="cart"), ("50.0%", "0.0%"), "WARN"),
    ],
)
def test_what_the_model_does_not_know_is_a_share_of_the_actions(
    events: list[Event], shares: tuple[str, str], status: str
) -> None:
    check = assess_vocabulary(events, ACCEPTED, SHOP)

    assert check.status == status
    assert f"the action of {shares[0]}, and the item of {shares[1]}" in check.found


def test_no_action_in_common_fails_whatever_the_events_are() -> None:
    check = assess_vocabulary([], ACCEPTED, Vocabulary(frozenset({"view"}), {"i1"}))

    assert (check.status, "--actions" in check.fix) == ("FAIL", True)


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("{}", "i{:05}"),  # a number for a text
        ("i{}", "i{:05}"),  # without zeros
        ("I{:05}", "i{:05}"),  # case
        ("sku-{}", "{}"),  # a prefix
        ("{}-de", "{}"),  # a suffix
        (" {} ", "{}"),  # blanks
        ("{}.0", "{}"),  # a number with a fraction
    ],
)
def test_ids_of_another_form_are_told_from_new_items(written: str, known: str) -> None:
    shop = Vocabulary(None, {known.format(n): n for n in range(1, 50)})

    check = assess_vocabulary(actions(*(written.format(n) for n in range(1, 20))), ACCEPTED, shop)

    assert check.status == "WARN"
    first = f"{written.format(1)!a} where the model knows {known.format(1)!a}"
    assert f"in another form, {first}" in check.fix


@pytest.mark.parametrize("written", ["i1{:03}", "shoe-{}x9", "new"])
def test_new_items_are_not_taken_for_known_ones_in_another_form(written: str) -> None:
    shop = Vocabulary(None, {f"i{n}": n for n in range(50)})

    check = assess_vocabulary(actions(*(written.format(n) for n in range(20))), ACCEPTED, shop)

    assert (check.status, "another form" in check.fix) == ("WARN", False)
    assert "lately artifact extend" in check.fix


@pytest.mark.parametrize(("same", "status"), [(5, "PASS"), (4, "WARN")])
def test_categories_that_the_model_does_not_have_are_said(same: int, status: str) -> None:
    shop = SHOP._replace(category_of={"i1": "shoes"}.get)
    named = ["shoes"] * same + ["Schuhe"] * (9 - same)
    events = [event(n, item="i1", category=name) for n, name in enumerate(named)]

    check = assess_vocabulary([*events, event(9, item="i2", category="any")], ACCEPTED, shop)

    assert check.status == status
    words = "55.6% of the 9 that name a category name another one, as 'Schuhe' for 'shoes'"
    assert (words in check.found) is (status == "WARN")


def test_intents_that_can_never_happen_are_named() -> None:
    shop = SHOP._replace(intents={"cart": ("cart",), "buy": ("buy", "order")})

    check = assess_vocabulary(actions("i1"), ("click", "order"), shop)

    assert check.status == "WARN"
    assert "the worker accepts no action of cart, which the model predicts" in check.fix


def test_forgets_are_no_actions_and_a_model_that_takes_anything_knows_all() -> None:
    gone = [event(0, item="", action="forget")]

    assert assess_vocabulary(gone, ACCEPTED, SHOP).status == "SKIP"
    assert assess_vocabulary(gone + actions("new"), ACCEPTED, ANYTHING).status == "PASS"


def found(shop: Shop, *words: str) -> dict[str, tuple[str, str]]:
    result = shop.lately("doctor", "--json", "--http", "127.0.0.1:0", *words)
    return {c["what"]: (c["status"], c["found"]) for c in result.json["checks"]}


def test_the_newest_events_of_every_partition_are_judged_as_by_a_worker(shop: Shop) -> None:
    shop.create()
    item = json.loads((DEMO / "catalogue.json").read_text())["items"][0]
    now_ms = int(time.time() * 1000)
    messages = [
        click("ann", item_id=item, ts=now_ms),
        click("ann", item_id="new", ts=now_ms),
        click("ann", action="purchase", ts=now_ms),
        forget("ann"),
    ]
    records = [
        Record(message.key, message.value, partition)
        for partition in range(PARTITIONS)
        for message in messages
    ]
    shop.write(shop.settings.events_topic, *records)

    default = found(shop, "--artifact", str(DEMO))
    wider = found(shop, "--artifact", str(DEMO), "--actions", "click,purchase")
    foreign = found(shop, "--artifact", str(DEMO), "--actions", "purchase")

    assert default["events"] == (
        "WARN",
        "25.0% of the newest 12 are dead letters (3 unknown_action)",
    )
    assert default["fit"][0] == "PASS"
    assert "the newest 6 actions" in default["fit"][1] and "item of 50.0%" in default["fit"][1]
    assert wider["events"] == ("PASS", "a worker takes each of the newest 12")
    assert "action of 33.3%" in wider["fit"][1]
    assert foreign["fit"][0] == "FAIL"


def test_records_of_transactions_that_were_not_committed_are_not_judged(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = []

    class Watched(LenientConsumer):
        def __init__(self, *topics: str, **options: Any) -> None:
            levels.append(options.get("isolation_level"))
            super().__init__(*topics, **options)

    monkeypatch.setattr(command_clients, "LenientConsumer", Watched)
    shop.create()
    shop.write(shop.settings.events_topic, Record(b"ann", click("ann").value, 0))
    found(shop)

    assert levels == ["read_committed"] * 2  # of the keys, and of the events


def test_without_a_setting_the_models_actions_are_accepted(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.create()
    now_ms = int(time.time() * 1000)
    messages = [click("ann", action=name, ts=now_ms) for name in ("view", "click")]
    shop.write(shop.settings.events_topic, *(Record(m.key, m.value, 0) for m in messages))
    monkeypatch.setattr(
        doctor,
        "check_artifact",
        lambda artifact: (Check("PASS", "artifact", "whole"), Vocabulary(frozenset({"view"}), {})),
    )

    checks = found(shop)

    assert "50.0% of the newest 2 are dead letters (1 unknown_action)" in checks["events"][1]
    assert "the action of 0.0%" in checks["fit"][1]


def test_a_topic_without_events_is_left_out(shop: Shop) -> None:
    shop.create()

    assert found(shop, "--artifact", str(DEMO))["events"][0] == "SKIP"


def test_only_the_newest_are_read(shop: Shop) -> None:
    shop.create()
    now_ms = int(time.time() * 1000)
    old = [Record(b"ann", b"no JSON")] * 40
    new = [Record(b"ann", click("ann", ts=now_ms).value)] * (-(-NEWEST // PARTITIONS))
    shop.write(shop.settings.events_topic, *old, *new)

    assert found(shop)["events"] == ("PASS", f"a worker takes each of the newest {len(new)}")
