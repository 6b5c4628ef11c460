"""What befalls the state directory: full, damaged in every way, ahead, of a format to come."""

from contextlib import suppress
from pathlib import Path
from typing import Any

import rocksdict

from tests.chaos.disk import OFFSET, USER
from tests.chaos.faults.fault import fault
from tests.chaos.run import Run
from tests.kafka.mounts import mounted
from tests.kafka.worker import Worker


@fault()
def disk_full(run: Run) -> None:
    """The disk fills up in mid-flow: the worker ends in one line; with room it goes on."""
    with mounted(run.folder / "state-a", "size=24m") as folder:
        worker = run.start().wait_ready()
        run.feed(1_000)
        run.stage.wait_committed()
        ballast = folder / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        run.say("the disk is full")
        run.feed(3_000)
        run.refuses(worker, "free")
        ballast.unlink()
        run.healed()
        run.start().wait_ready()
        run.feed(1_000)
        run.stage.wait_committed()
        run.kill()


def _damaged(run: Run, pattern: str, damage: str) -> None:
    """Damage every file of a kind after a crash, and see that the partitions are rebuilt."""
    run.start().wait_ready()
    run.feed(2_000)
    run.stage.wait_committed()
    run.stop()  # what was in memory goes to files of their own
    worker = run.start().wait_ready()
    run.feed(1_000)
    run.stage.wait_committed()
    run.kill()
    files = [file for file in sorted(worker.state_dir.rglob(pattern)) if file.stat().st_size]
    assert files, f"no {pattern} to damage"
    for file in files:
        _damage(file, damage, run)
    run.say(f"{len(files)} files {pattern}: {damage}")
    run.healed()


def _damage(file: Path, damage: str, run: Run) -> None:
    content = bytearray(file.read_bytes())
    if damage == "missing":
        file.unlink()
    elif damage == "halved":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "garbage":
        file.write_bytes(run.random.randbytes(len(content)))
    else:
        at = run.random.randrange(len(content))
        content[at] ^= 0xFF
        file.write_bytes(content)


@fault()
def corrupt_sst(run: Run) -> None:
    """The table files are overwritten."""
    _damaged(run, "*.sst", "garbage")


@fault()
def missing_sst(run: Run) -> None:
    """The table files are gone."""
    _damaged(run, "*.sst", "missing")


@fault()
def flipped_bit_in_sst(run: Run) -> None:
    """One byte of each table file is another."""
    _damaged(run, "*.sst", "flipped")


@fault()
def corrupt_current(run: Run) -> None:
    """The file that names the manifest is overwritten."""
    _damaged(run, "CURRENT", "garbage")


@fault()
def corrupt_manifest(run: Run) -> None:
    """The manifest is overwritten."""
    _damaged(run, "MANIFEST-*", "garbage")


@fault()
def half_a_write_ahead_log(run: Run) -> None:
    """The end of the write-ahead log is gone, as after a loss of power."""
    _damaged(run, "*.log", "halved")


def _stopped(run: Run) -> Worker:
    """Some events, and the worker ended well."""
    worker = run.start().wait_ready()
    run.feed(2_000)
    run.stage.wait_committed()
    run.stop()
    return worker


@fault()
def state_ahead(run: Run) -> None:
    """The disk says that it has more of the changelog than there is, as when a broker lost some."""
    worker = _stopped(run)
    for folder in worker.state_dir.glob("*/partition-*"):
        _put(folder, {OFFSET: b"1000000000"})
    run.healed()


@fault()
def unknown_state_format(run: Run) -> None:
    """A user's state is of a format to come: the worker refuses, and commits nothing past it."""
    worker = _stopped(run)
    for folder in worker.state_dir.glob("*/partition-*"):
        users = _users(folder)
        _put(folder, {USER + key: b"\x63" + value[1:] for key, value in users.items()})
    before = run.cluster.client.committed(run.stage.group, run.stage.events)
    refusing = run.start()
    run.feed(1_000)
    run.refuses(refusing, "run the version of Lately that wrote it")
    after = run.cluster.client.committed(run.stage.group, run.stage.events)
    assert before == after, f"committed {after}, was {before}"
    for folder in worker.state_dir.glob("*/partition-*"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    run.healed()


def _put(folder: Path, values: dict[bytes, bytes]) -> None:
    database = rocksdict.Rdict(str(folder), rocksdict.Options(raw_mode=True))
    for key, value in values.items():
        database[key] = value
    database.close()


def _users(folder: Path) -> dict[bytes, bytes]:
    database = rocksdict.Rdict(str(folder), rocksdict.Options(raw_mode=True))
    pairs: Any = database.items()
    users = {key[1:]: value for key, value in pairs if key.startswith(USER)}
    database.close()
    return users
