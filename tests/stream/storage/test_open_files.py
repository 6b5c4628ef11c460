"""The limit of open files is raised, shared out among the partitions, and named when it is low."""

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.errors import StateError
from stream.storage.open_files import LEAST, MOST, RESERVED, files_per_partition, limits
from stream.storage.store import StateStore


class Limit:
    """The limit of a process that nobody has to share."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.soft, self.hard = soft, hard
        monkeypatch.setattr(resource, "getrlimit", lambda _: (self.soft, self.hard))
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, _: int, limits: tuple[int, int]) -> None:
        assert limits[1] == self.hard
        self.soft = limits[0]


@pytest.mark.parametrize(
    ("partitions", "files"),
    [(1, MOST), (16, (4096 - RESERVED) // 16), (192, LEAST)],  # 192 * 20 + 256 = 4096
)
def test_partitions_share_what_the_hard_limit_allows(
    monkeypatch: pytest.MonkeyPatch, partitions: int, files: int
) -> None:
    limit = Limit(monkeypatch, soft=1024, hard=4096)

    assert files_per_partition(partitions) == files
    assert limit.soft == 4096


@pytest.mark.parametrize(
    ("soft", "hard", "found"),
    [
        (256, 4096, (256, 4096)),
        (4096, 4096, (4096, 4096)),
        (256, resource.RLIM_INFINITY, (256, 10_240)),
        (20_000, resource.RLIM_INFINITY, (20_000, 20_000)),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, (10_240, 10_240)),
    ],
)
def test_the_limits_are_those_of_the_start_and_what_a_worker_raises_them_to(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, found: tuple[int, int]
) -> None:
    Limit(monkeypatch, soft, hard)

    assert limits() == found


def test_a_limit_that_cannot_be_enough_is_refused_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Limit(monkeypatch, soft=1024, hard=4096)

    with pytest.raises(
        StateError, match="may open 4096 files, and 193 partitions need 4116; "
    ) as e:
        files_per_partition(193)
    assert "ulimit -n" in str(e.value)


@pytest.mark.parametrize("soft", [256, resource.RLIM_INFINITY])
def test_without_a_hard_limit_the_soft_one_is_raised_to_what_every_system_takes(
    monkeypatch: pytest.MonkeyPatch, soft: int
) -> None:
    Limit(monkeypatch, soft=soft, hard=resource.RLIM_INFINITY)

    assert files_per_partition(400) == (10_240 - RESERVED) // 400


@pytest.fixture
def few_files() -> Iterator[None]:
    """None but those that are open already."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_partition_that_finds_no_file_left_names_the_limit(
    tmp_path: Path, few_files: None
) -> None:
    causes: list[str] = []
    store = StateStore(tmp_path, causes.append)

    with pytest.raises(StateError, match=r"Too many open files.*ulimit -n"):
        store.open(0)
    assert causes == []
