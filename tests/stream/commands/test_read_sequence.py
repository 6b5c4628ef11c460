"""A file is applied as by a worker, and a worker's disk is read while it runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.sequence import Sequence
from stream.commands.read_sequence import read_sequence
from stream.errors import LatelyError, SettingsError, StateError
from stream.settings import WorkerSettings
from stream.storage.store import StateStore
from stream.user_state import UserState
from tests.stream.commands.shop import Record, Shop
from tests.stream.fakes import NOW_MS


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    """The state of a worker of group ``shop`` that runs: it has its lock, and partition 3."""
    store = StateStore(tmp_path / "shop", lambda _: None)
    store.lock()
    store.open(3)
    yield store
    store.close_all()


def event(item: str, ts: int | str, user: str = "u1", **fields: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "action": "click", "ts": ts} | fields


def written(path: Path, *events: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in events))
    return str(path)


def remembered(*items: str) -> bytes:
    state = UserState()
    state.items, state.times_ms = list(items), list(range(1, len(items) + 1))
    state.action_types, state.actions = ["click"], bytearray(len(items))
    return state.to_bytes()


def refusal(source: str, state_dir: Path | None = None) -> str:
    with pytest.raises(LatelyError) as error:
        read_sequence(source, state_dir)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_file_is_folded_by_time_without_duplicates(tmp_path: Path) -> None:
    source = written(
        tmp_path / "events.jsonl",
        event("b", NOW_MS + 1_000, event_id="e1"),
        event("a", NOW_MS, action="looks at"),
        event("b", NOW_MS + 1_000, event_id="e1"),
    )

    assert read_sequence(source, None) == Sequence(
        ("a", "b"), ("looks at", "click"), (NOW_MS, NOW_MS + 1_000), NOW_MS + 1_000
    )


def test_who_asked_to_be_forgotten_begins_anew(tmp_path: Path) -> None:
    source = written(
        tmp_path / "events.jsonl",
        event("a", NOW_MS),
        {"user_id": "u1", "action": "forget"},
        event("b", NOW_MS + 1),
    )

    assert read_sequence(source, None).items == ("b",)


def test_a_file_of_two_users_is_refused(tmp_path: Path) -> None:
    source = written(tmp_path / "events.jsonl", event("a", NOW_MS), event("a", NOW_MS, user="u2"))

    assert "2 users, u1 and u2" in refusal(source)


def test_an_event_that_breaks_the_contract_is_named(tmp_path: Path) -> None:
    source = written(tmp_path / "events.jsonl", event("a", NOW_MS), event("", NOW_MS))

    assert "line 2: no item_id" in refusal(source)
    assert "cannot be read" in refusal(str(tmp_path / "gone.jsonl"))


def test_a_running_workers_state_can_be_read(store: StateStore, tmp_path: Path) -> None:
    store.write(3, [(b"u1", remembered("a", "b")), (b"u2", remembered("c"))], 7)

    assert read_sequence("u1", tmp_path).items == ("a", "b")

    store.write(3, [(b"u1", remembered("a", "b", "c"))], 8)
    assert read_sequence("u1", tmp_path).items == ("a", "b", "c")


def test_reading_beside_a_worker_does_it_no_harm(store: StateStore, tmp_path: Path) -> None:
    store.write(3, [(b"u1", remembered("a"))], 7)
    read_sequence("u1", tmp_path)
    store.write(3, [(b"u1", remembered("b"))], 8)

    assert store.changelog_offset(3) == 8
    assert store.get(3, b"u1") == remembered("b")


@pytest.mark.usefixtures("store")
def test_a_user_who_is_not_there_is_one_line(tmp_path: Path) -> None:
    assert "holds no user 'u9'" in refusal("u9", tmp_path)
    assert "holds no user 'u9'" in refusal("u9", tmp_path / "nowhere")


@pytest.mark.parametrize(
    "user",
    ["", " ", "u1 ", "U1", "\udcff", "\x1b[31mu1", "u" * 300, "\u202eu1", "用户", "u1\n"],
)
def test_any_user_who_is_not_there_is_refused_in_one_line_that_a_terminal_may_show(
    store: StateStore, tmp_path: Path, user: str
) -> None:
    store.write(3, [(b"u1", remembered("a"))], 7)

    said = refusal(user, tmp_path)
    assert "holds no user" in said and "\n" not in said and "\x1b" not in said


def test_a_user_whose_bytes_are_no_text_is_found_as_they_were_typed(
    store: StateStore, tmp_path: Path
) -> None:
    store.write(3, [(b"u\xff", remembered("a"))], 7)

    assert read_sequence("u\udcff", tmp_path).items == ("a",)


def test_who_was_forgotten_is_refused_like_who_was_never_there(
    store: StateStore, tmp_path: Path
) -> None:
    store.write(3, [(b"u1", marker())], 7)

    assert "the user is new or forgotten" in refusal("u1", tmp_path)


def test_the_marker_of_a_forgotten_user_does_not_hide_another_groups_state(
    store: StateStore, tmp_path: Path
) -> None:
    store.write(3, [(b"u1", marker())], 7)
    other = StateStore(tmp_path / "other", lambda _: None)
    other.open(0)
    other.write(0, [(b"u1", remembered("b"))], 7)
    other.close_all()

    assert read_sequence("u1", tmp_path).items == ("b",)


def test_a_user_of_two_groups_is_one_line(store: StateStore, tmp_path: Path) -> None:
    store.write(3, [(b"u1", remembered("a"))], 7)
    other = StateStore(tmp_path / "other", lambda _: None)
    other.open(0)
    other.write(0, [(b"u1", remembered("b"))], 7)
    other.close_all()

    assert "in other/partition-0 and in shop/partition-3" in refusal("u1", tmp_path)


def test_what_is_no_state_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "shop" / "partition-0").mkdir(parents=True)

    assert "RocksDB cannot read it" in refusal("u1", tmp_path)


@pytest.mark.parametrize("groups", [2, 3])
def test_user_of_several_groups_is_rejected_with_two_of_them(tmp_path: Path, groups: int) -> None:
    for number in range(groups):
        store = StateStore(tmp_path / f"shop-{number}", lambda cause: None)
        store.open(0)
        store.write(0, [(b"ann", remembered("i1"))], 0)
        store.close_all()

    with pytest.raises(StateError, match=r"in shop-0/partition-0 and in shop-1/partition-0;"):
        read_sequence("ann", tmp_path)


def marker() -> bytes:
    state = UserState()
    state.forgotten = True
    return state.to_bytes()


@pytest.fixture
def changelog(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Two states of ann, the newest last, one of bob, who was forgotten, and one of cid."""
    monkeypatch.setenv("LATELY_BOOTSTRAP", shop.settings.bootstrap)
    monkeypatch.setenv("LATELY_GROUP", shop.settings.group)
    shop.write(
        shop.settings.changelog_topic,
        Record(b"ann", remembered("a"), 1),
        Record(b"bob", remembered("z"), 1),
        Record(b"ann", remembered("a", "b"), 1),
        Record(b"bob", marker(), 1),
        Record(b"cid", remembered("c"), 0),
        Record(b"cid", None, 0),
    )
    return shop


@pytest.mark.usefixtures("changelog")
def test_a_user_is_read_from_the_changelog_where_there_is_no_state() -> None:
    assert read_sequence("ann", None, is_user=True).items == ("a", "b")


@pytest.mark.usefixtures("changelog")
@pytest.mark.parametrize("user", ["bob", "cid", "dan"])
def test_a_user_who_is_not_in_the_changelog_is_refused_in_one_line(user: str) -> None:
    with pytest.raises(StateError, match=f"holds no user '{user}'; set LATELY_GROUP"):
        read_sequence(user, None, is_user=True)


def test_a_user_is_read_from_the_workers_state_directory(
    store: StateStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(3, [(b"u1", remembered("a"))], 7)
    monkeypatch.setenv("LATELY_STATE_DIR", str(tmp_path))

    assert read_sequence("u1", None, is_user=True).items == ("a",)


def test_a_file_is_read_whatever_the_settings_of_a_worker_that_it_does_not_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "log.jsonl", *(event(f"i{n}", NOW_MS + n) for n in range(3)))
    for name in ("HTTP", "BOOTSTRAP", "SCORER", "SESSION_TIMEOUT_S", "SASL_PASSWORD_FILE"):
        monkeypatch.setenv(f"LATELY_{name}", "nonsense")
    assert read_sequence(path, None).items == ("i0", "i1", "i2")

    monkeypatch.setenv("LATELY_SEQUENCE_LENGTH", "2")
    assert read_sequence(path, None).items == ("i1", "i2")

    monkeypatch.setenv("LATELY_SEQUENCE_LENGTH", "0")
    with pytest.raises(SettingsError, match="sequence_length"):
        read_sequence(path, None)
