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


def _golden(version: int) -> list[dict[str, Any]]:
    path = Path(__file__).parent / f"golden/state-v{version}.json"
    cases: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["states"]
    return [case | {"version": version} for case in cases]


VERSION_1, VERSION_2 = _golden(1), _golden(2)
golden = pytest.mark.parametrize("case", VERSION_1 + VERSION_2, ids=lambda case: case["name"])


@golden
def test_every_version_is_read_for_ever(case: dict[str, Any]) -> None:
    state = UserState.from_bytes(bytes.fromhex(case["bytes"]))

    assert {
        "applied_offset": state.applied_offset,
        "as_of_ms": state.as_of_ms,
        "items": state.items,
        "times_ms": state.times_ms,
        "kinds": state.action_types,
        "actions": list(state.actions),
        "event_ids": [digest.hex() for digest in state.event_ids],
        "category_names": list(state.category_names),
        "category_indices": list(state.category_indices),
        "forgotten": state.forgotten,
    } == {"category_names": [], "category_indices": []} | case["state"]


@golden
def test_every_version_is_written_as_ever(case: dict[str, Any]) -> None:
    value = bytes.fromhex(case["bytes"])

    assert UserState.from_bytes(value).to_bytes() == value


@golden
def test_a_value_is_a_version_byte_and_a_plain_messagepack_array(case: dict[str, Any]) -> None:
    value, state = bytes.fromhex(case["bytes"]), case["state"]
    categories = (
        [state["category_names"], bytes(state["category_indices"])] if case["version"] == 2 else []
    )

    assert value[0] == case["version"]
    assert msgspec.msgpack.decode(value[1:]) == [
        state["applied_offset"],
        state["as_of_ms"],
        state["items"],
        state["times_ms"],
        state["kinds"],
        bytes(state["actions"]),
        bytes.fromhex("".join(state["event_ids"])),
        *categories,
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

WHOLE = bytes.fromhex(VERSION_1[2]["bytes"])
WITH_CATEGORIES = bytes.fromhex(VERSION_2[1]["bytes"])  # four actions, two names


@pytest.mark.parametrize("version", [0, 3, 255])
def test_another_version_is_refused_and_named(version: int) -> None:
    with pytest.raises(UnknownFormat, match=f"state has format {version:02x}, .* reads 01 and 02"):
        UserState.from_bytes(bytes([version]) + WHOLE[1:])


def test_no_bytes_at_all_are_no_state() -> None:
    with pytest.raises(UnknownFormat, match="state has format none"):
        UserState.from_bytes(b"")


@pytest.mark.parametrize("value", [WHOLE, WITH_CATEGORIES], ids=["version 1", "version 2"])
def test_bytes_that_break_off_anywhere_are_damaged(value: bytes) -> None:
    for length in range(1, len(value)):
        with pytest.raises(UnknownFormat, match=f"format {value[0]}"):
            UserState.from_bytes(value[:length])


@pytest.mark.parametrize("value", [WHOLE, WITH_CATEGORIES], ids=["version 1", "version 2"])
def test_bytes_that_go_on_are_damaged(value: bytes) -> None:
    with pytest.raises(UnknownFormat, match=f"format {value[0]}"):
        UserState.from_bytes(value + b"\0")


def test_the_version_byte_decides_how_the_array_is_read() -> None:
    with pytest.raises(UnknownFormat, match="format 2"):
        UserState.from_bytes(b"\2" + WHOLE[1:])
    with pytest.raises(UnknownFormat, match="format 1"):
        UserState.from_bytes(b"\1" + WITH_CATEGORIES[1:])


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


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (7, []),  # indices without names, and a value without names is version 1
        (7, ["shoes"]),  # an index that no name has
        (7, ["shoes", 1]),
        (8, b"\1\0\1"),  # one index less than actions
        (8, b"\0\0\0\0"),  # nobody has a category
        (8, [1, 0, 1, 2]),
        (9, None),
    ],
)
def test_categories_that_do_not_fit_the_actions_are_damaged(column: int, value: object) -> None:
    columns = msgspec.msgpack.decode(WITH_CATEGORIES[1:])
    columns[column] = value

    with pytest.raises(UnknownFormat, match="format 2"):
        UserState.from_bytes(b"\2" + msgspec.msgpack.encode(columns))


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=40)
    | st.builds(bytes.__add__, st.sampled_from([b"\1", b"\2"]), st.binary(max_size=40))
)
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


@pytest.mark.parametrize("value", [b"", b"\x01", b"\x01\x98", b"\x02\x98\x05", b"\0", b"a"])
def test_bytes_that_are_no_state_have_no_applied_offset(value: bytes) -> None:
    assert applied_offset_of(value) == -1


def test_the_applied_offset_of_a_later_version_is_unknown_and_not_low() -> None:
    with pytest.raises(UnknownFormat, match="state has format 03, this version reads 01 and 02"):
        applied_offset_of(b"\3\x98\5")


@pytest.mark.parametrize(("value", "offset"), [(b"\1\x98\5", 5), (b"\1\x98", -1)])
def test_the_applied_offset_is_read_as_soon_as_its_byte_is_there(value: bytes, offset: int) -> None:
    # Version 1, a MessagePack array of eight, and a small number, which is its own byte.
    assert applied_offset_of(value) == offset
