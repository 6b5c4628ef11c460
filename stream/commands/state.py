"""The commands `lately state`: show a user, compare the disk with its changelog, rebuild it."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path
from typing import Any

from model.printable import printable
from stream import logs
from stream.command_name import as_typed
from stream.commands.read_sequence import key_of
from stream.errors import StateError, TopicsError
from stream.kafka.changelog import Disk, orphans, refusal
from stream.kafka.command_clients import TopicReader, open_reader
from stream.kafka.fetching.log_reader import LogReader
from stream.kafka.group_commits import open_commits
from stream.kafka.security import client_options
from stream.settings import StateSettings
from stream.storage.recovery import Recovery
from stream.storage.store import StateStore
from stream.storage.verification import Row, Verification
from stream.storage.view import view
from stream.user_state import UserState

_FLAG = "--group"


def get_user(settings: StateSettings, user: str, *, as_json: bool = False) -> None:
    """Print the state of a user on disk, also while a worker runs.

    Raises StateError when there is none, or it cannot be read.
    """
    found = _find(settings, user)
    now_s = time.time()
    if as_json:
        first, *others = [_as_json(partition, state, now_s) for partition, state in found]
        print(json.dumps({**first, "others": others}))
        return
    for partition, state in found:
        _print(partition, state, now_s)


def _print(partition: int, state: UserState, now_s: float) -> None:
    where = f"partition {partition}, events up to offset {state.applied_offset}"
    if state.forgotten:
        print(
            f"forgotten: {where}; the marker is removed some minutes after that offset is committed"
        )
        return
    age_s = _age_s(state, now_s)
    print(f"{len(state.items)} actions in {where}; the newest event is {age_s:,} s old")
    for item, ts_ms, action, category in _actions(state):
        moment = datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat(" ", "milliseconds")
        of_category = "" if category is None else f"  ({category})"
        print(f"{moment}  {printable(f'{action:<8}  {item}{of_category}')}")


def _actions(state: UserState) -> Iterator[tuple[str, int, str, str | None]]:
    """Item, time, action and category of each action, oldest first."""
    sequence = state.sequence()
    categories = sequence.categories() or repeat(None)
    return zip(sequence.items, sequence.times_ms, sequence.actions, categories, strict=False)


def _find(settings: StateSettings, user: str) -> list[tuple[int, UserState]]:
    """What every partition on disk has of the user: actions before markers, the latest first.

    Several have something if the producers do not agree on the partition of a key.
    """
    folder = settings.state_dir / settings.group
    found = []
    for partition in partitions_on_disk(folder):
        with view(path_of(folder, partition)) as stored:
            value = stored.get(key_of(user))
        if value is not None:
            found.append((partition, UserState.from_bytes(value)))
    if not found:
        raise StateError(
            f"{folder}: holds no state of this user; another worker may, or the user is new or "
            "forgotten: name the --state-dir of the worker that has the user's partition"
        )
    return sorted(found, key=lambda pair: (pair[1].forgotten, -pair[1].sequence().now_ms))


def _age_s(state: UserState, now_s: float) -> int:
    return max(0, int(now_s - state.sequence().now_ms / 1000))


def _as_json(partition: int, state: UserState, now_s: float) -> dict[str, Any]:
    return {
        "partition": partition,
        "applied_offset": state.applied_offset,
        "forgotten": state.forgotten,
        "as_of": state.sequence().now_ms,
        "age_s": None if state.forgotten else _age_s(state, now_s),
        "n_events": len(state.items),
        "events": [
            {"item_id": item, "action": action, "ts": ts_ms, "category": category}
            for item, ts_ms, action, category in _actions(state)
        ],
    }


def verify_state(settings: StateSettings, *, as_json: bool = False) -> int:
    """Compare each partition on disk with its changelog, print a table; 1 if any differs, else 0.

    No worker may use the directory. Raises StateError, TopicsError, BrokerError.
    """
    folder = settings.state_dir / settings.group
    with locked(folder):
        partitions = partitions_on_disk(folder)
        if not partitions:
            raise StateError(f"{folder}: holds no state; name the --state-dir of a worker")
        rows = asyncio.run(_verify(settings, folder, partitions))
    fits = all(row.fits for row in rows)
    if as_json:
        print(json.dumps({"fits": fits, "partitions": [row.as_dict() for row in rows]}))
        return 0 if fits else 1
    print(Row.HEAD)
    for row in rows:
        print(row.line())
    if not fits:
        bad = " ".join(f"-p {row.partition}" for row in rows if not row.fits)
        command = f"`lately state rebuild {bad}`"
        print(as_typed(f"repair it with {command}, with the same --state-dir and --group"))
    return 0 if fits else 1


async def _verify(settings: StateSettings, folder: Path, partitions: Sequence[int]) -> list[Row]:
    async with open_reader(settings, settings.changelog_topic, _FLAG) as reader:
        check_partitions(settings, reader, partitions)
        await _check_changelog(settings, folder, partitions)
        return [await _verify_one(reader, folder, partition) for partition in partitions]


async def _verify_one(reader: TopicReader, folder: Path, partition: int) -> Row:
    try:
        with view(path_of(folder, partition)) as stored:
            check = Verification(partition, stored.changelog_offset())
            async for records in reader.read_to_end(partition):
                for record in records:
                    check.add(record.offset, record.key, record.value, record.headers)
            return check.compare(stored.users(), reader.end(partition))
    except StateError as error:
        return Row(partition, damage=str(error))


def rebuild_state(
    settings: StateSettings, partitions: Sequence[int], *, as_json: bool = False
) -> None:
    """Wipe these partitions, by default all on disk, and rebuild each from the changelog.

    No worker may use the directory. Raises StateError, TopicsError, BrokerError.
    """
    logs.configure()  # recovery logs its progress
    folder = settings.state_dir / settings.group
    store = StateStore(folder, lambda _cause: None)
    with locked(folder, store):
        numbers = sorted(set(partitions)) or partitions_on_disk(folder)
        if not numbers:
            raise StateError(f"{folder}: holds no state; name partitions by -p, or --state-dir")
        rows = asyncio.run(_rebuild(settings, store, numbers))
    if as_json:
        print(json.dumps({"partitions": rows}))
        return
    for row in rows:
        print(f"partition {row['partition']}: {row['users']:,} users, in {row['took_s']} s")


async def _rebuild(
    settings: StateSettings, store: StateStore, numbers: Sequence[int]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    recovery = Recovery(
        store, settings.changelog_topic, client_options(settings), lambda _took_s: None, None
    )
    async with open_reader(settings, settings.changelog_topic, _FLAG) as reader:
        # Before anything is wiped: the changelog must have these partitions, and their states.
        check_partitions(settings, reader, numbers)
        await _check_changelog(settings, settings.state_dir / settings.group, numbers)
        for number in numbers:
            started_s = time.monotonic()
            store.wipe(number, "asked")
            await recovery.recover([number])
            users = sum(1 for _ in store.users(number))
            took_s = round(time.monotonic() - started_s, 1)
            rows.append({"partition": number, "users": users, "took_s": took_s})
            store.close(number)
    return rows


async def _check_changelog(settings: StateSettings, folder: Path, numbers: Sequence[int]) -> None:
    """Raise TopicsError if the disk is all that is left of these states."""
    disks: dict[int, Disk] = {}
    for number in numbers:
        with suppress(StateError), view(path_of(folder, number)) as stored:
            disks[number] = stored.disk()
    async with LogReader(settings) as log:
        changelog = await log.read(settings.changelog_topic)
    changelog_id = None if changelog is None else changelog.id
    if orphans(changelog_id, {}, disks):
        async with open_commits(settings) as group:  # it may have gone on without this disk
            commits = await group.read(numbers)
        notes = {number: commit.note for number, commit in commits.items()}
        if found := orphans(changelog_id, notes, disks):
            raise refusal(settings, found)


def check_partitions(settings: StateSettings, reader: TopicReader, numbers: Sequence[int]) -> None:
    """Raise TopicsError if the changelog lacks one of these partitions."""
    unknown = [number for number in numbers if number not in reader.partitions]
    if unknown:
        raise TopicsError(
            f"{settings.changelog_topic}: has no partition {unknown[0]}, only 0 to "
            f"{len(reader.partitions) - 1}; was the topic created again, or is --group wrong?"
        )


@contextmanager
def locked(folder: Path, store: StateStore | None = None) -> Iterator[None]:
    """Hold the lock of the directory, which a running worker holds."""
    if not folder.is_dir():
        raise StateError(f"{folder}: no such folder; name the --state-dir and --group of a worker")
    store = store or StateStore(folder, lambda _cause: None)
    try:
        store.lock()
        yield
    finally:
        store.close_all()


def partitions_on_disk(folder: Path) -> list[int]:
    """The partitions that a state directory holds."""
    names = (path.name.removeprefix("partition-") for path in folder.glob("partition-*"))
    return sorted(int(name) for name in names if name.isdecimal())


def path_of(folder: Path, partition: int) -> Path:
    """The folder of a partition."""
    return folder / f"partition-{partition}"
