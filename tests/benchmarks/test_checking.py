"""The check of a run: states that differ are found, in the form in which each engine keeps them."""

import pickle
import sqlite3
from pathlib import Path

import pytest

from benchmarks.checking import WrongError, check_states
from benchmarks.engines import QUIX, STOCK
from benchmarks.peers import compact, snapshots

ACTIONS = [("item-1", "click", 1_790_000_000_000), ("item-2", "cart", 1_790_000_000_010)]


def compact_of(actions: list[compact.Action]) -> bytes:
    state = b""
    for action in actions:
        state = compact.append(state, *action)
    return state


def test_states_are_right_only_if_every_user_has_all_actions_in_order() -> None:
    check_states({"ann": ACTIONS, "bob": []}, {"ann": ACTIONS})

    with pytest.raises(WrongError, match="1 of 1 users"):
        check_states({"ann": ACTIONS[::-1]}, {"ann": ACTIONS})
    with pytest.raises(WrongError, match="ann has None"):
        check_states({}, {"ann": ACTIONS})


def test_compact_bytes_are_count_time_item_and_action() -> None:
    state = bytes([2])
    for item, action, ts_ms in ACTIONS:
        state += ts_ms.to_bytes(8, "big") + bytes([len(item)]) + item.encode()
        state += bytes([len(action)]) + action.encode()

    assert compact_of(ACTIONS) == state
    assert list(compact.actions_of(state)) == ACTIONS


def test_compact_bytes_keep_the_last_fifty() -> None:
    many = [(f"item-{number}", "click", 1_790_000_000_000 + number) for number in range(53)]

    assert list(compact.actions_of(compact_of(many))) == many[-50:]


def test_the_changelogs_of_quix_and_faust_are_read() -> None:
    value = b'[["item-1","click",1790000000000],["item-2","cart",1790000000010]]'
    assert QUIX.changelog and STOCK.changelog

    assert QUIX.changelog.decode(b'"ann"|"actions"', compact_of(ACTIONS)) == ("ann", ACTIONS)
    assert STOCK.changelog.decode(b'"ann"', value) == ("ann", ACTIONS)
    assert QUIX.changelog.topic("g", "t") == "changelog__g--t--default"


def test_the_last_snapshot_of_a_user_is_their_state(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "part-0.sqlite3") as database:
        database.execute("CREATE TABLE snaps (step_id, state_key, snap_epoch, ser_change)")
        rows = [
            (snapshots.STEP, "ann", 2, pickle.dumps(compact_of(ACTIONS))),
            (snapshots.STEP, "ann", 1, pickle.dumps(compact_of(ACTIONS[:1]))),
            ("last_actions.events", "0", 3, pickle.dumps(7)),
        ]
        database.executemany("INSERT INTO snaps VALUES (?, ?, ?, ?)", rows)

    assert snapshots.read(tmp_path) == {"ann": ACTIONS}
