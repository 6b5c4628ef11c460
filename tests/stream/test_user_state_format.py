"""The bytes of the state: golden files stay readable for ever, and damage is told from data.

A change that breaks a golden file needs a new format version beside it, never a new golden file.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream.user_state import Rules, UnknownFormat, UserState, applied_offset_of, is_forgotten
from tests.stream.fakes import event

GOLDEN = json.loads((Path(__file__).parent / "golden/state-v1.json").read_text(encoding="utf-8"))
golden = pytest.mark.parametrize("case", GOLDEN["states"], ids=lambda case: case["name"])


@golden
def test_version_1_is_read_for_ever(case: dict[str, Any]) -> None:
    state = UserState.from_bytes(bytes.fromhex(case["bytes"]))

    assert {
        "applied_offset": state.applied_offset,
        "as_of_ms": state.as_of_ms,
        "items": state.items,
        "times_ms": state.times_ms,
        "kinds": state.action_types,
        "actions": list(state.actions),
        "event_ids": [digest.hex() for digest in state.event_ids],
        "forgotten": state.forgotten,
    } == case["state"]


@golden
def test_version_1_is_written_as_ever(case: dict[str, Any]) -> None:
    value = bytes.fromhex(case["bytes"])

    assert UserState.from_bytes(value).to_bytes() == value


@golden
def test_version_1_is_a_version_byte_and_a_plain_messagepack_array(case: dict[str, Any]) -> None:
    value, state = bytes.fromhex(case["bytes"]), case["state"]

    assert value[0] == 1
    assert msgspec.msgpack.decode(value[1:]) == [
        state["applied_offset"],
        state["as_of_ms"],
        state["items"],
        state["times_ms"],
        state["kinds"],
        bytes(state["actions"]),
        bytes.fromhex("".join(state["event_ids"])),
        state["forgotten"],
    ]


@golden
def test_a_forget_marker_is_known_by_its_last_byte(case: dict[str, Any]) -> None:
    assert is_forgotten(bytes.fromhex(case["bytes"])) == case["state"]["forgotten"]


@golden
def test_what_was_stored_takes_the_next_event(case: dict[str, Any]) -> None:
    state = UserState.from_bytes(bytes.fromhex(case["bytes"]))
    next_event = event(state.applied_offset + 1, ts_ms=253_402_300_799_999)

    outcome = state.apply(next_event, Rules(50, 64, 3_600_000, 300_000, 30 * 86_400_000))

    assert outcome == "applied"
    assert state.items[-1] == next_event.item


# --- what is not ours -----------------------------------------------------------------------------

WHOLE = bytes.fromhex(GOLDEN["states"][2]["bytes"])


@pytest.mark.parametrize("version", [0, 2, 3, 255])
def test_another_version_is_refused_and_named(version: int) -> None:
    with pytest.raises(UnknownFormat, match=f"state has format {version:02x}, .* reads 01"):
        UserState.from_bytes(bytes([version]) + WHOLE[1:])


def test_no_bytes_at_all_are_no_state() -> None:
    with pytest.raises(UnknownFormat, match="state has format none"):
        UserState.from_bytes(b"")


@pytest.mark.parametrize("length", range(1, len(WHOLE)))
def test_bytes_that_break_off_anywhere_are_damaged(length: int) -> None:
    with pytest.raises(UnknownFormat, match="format 1"):
        UserState.from_bytes(WHOLE[:length])


def test_bytes_that_go_on_are_damaged() -> None:
    with pytest.raises(UnknownFormat, match="format 1"):
        UserState.from_bytes(WHOLE + b"\0")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (0, "7"),
        (0, None),
        (2, "i1"),
        (2, [1]),
        (3, ["1"]),
        (5, [0]),
        (7, 0),
    ],
)
def test_a_column_of_another_type_is_damaged(column: int, value: object) -> None:
    columns = msgspec.msgpack.decode(WHOLE[1:])
    columns[column] = value

    with pytest.raises(UnknownFormat, match="format 1"):
        UserState.from_bytes(b"\1" + msgspec.msgpack.encode(columns))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (2, ["i1"]),  # fewer items than times
        (3, [1, 2]),  # fewer times than items
        (5, b"\0\1"),  # fewer actions
        (5, b"\0\1\3"),  # an action that is none of the kinds
        (6, b"seven b"),  # no whole event id
    ],
)
def test_columns_that_do_not_fit_together_are_damaged(column: int, value: object) -> None:
    columns = msgspec.msgpack.decode(WHOLE[1:])
    columns[column] = value

    with pytest.raises(UnknownFormat, match="format 1"):
        UserState.from_bytes(b"\1" + msgspec.msgpack.encode(columns))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda tail: b"\1" + tail))
@example(b"\1\x98\0\0\x91\xa2\0\x80")  # an item whose bytes are not UTF-8
def test_other_bytes_are_refused_as_unknown_and_in_no_other_way(value: bytes) -> None:
    with contextlib.suppress(UnknownFormat):
        UserState.from_bytes(value)


@golden
def test_the_applied_offset_is_read_from_the_bytes_alone(case: dict[str, Any]) -> None:
    value = bytes.fromhex(case["bytes"])

    assert applied_offset_of(value) == UserState.from_bytes(value).applied_offset


@given(st.integers(0, (1 << 64) - 1))
def test_an_applied_offset_of_any_width_is_read(offset: int) -> None:
    state = UserState()
    state.applied_offset = offset

    assert applied_offset_of(state.to_bytes()) == offset


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01\x98", b"\x02\x98\x05", b"a"])
def test_bytes_of_another_format_have_no_applied_offset(value: bytes) -> None:
    assert applied_offset_of(value) == -1


@pytest.mark.parametrize(("value", "offset"), [(b"\1\x98\5", 5), (b"\1\x98", -1)])
def test_the_applied_offset_is_read_as_soon_as_its_byte_is_there(value: bytes, offset: int) -> None:
    # Version 1, a MessagePack array of eight, and a small number, which is its own byte.
    assert applied_offset_of(value) == offset
