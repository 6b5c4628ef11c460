"""A user whom several groups know: which of them is meant has to be said."""

from pathlib import Path

import pytest

from stream.commands.read_sequence import read_sequence
from stream.errors import StateError
from stream.storage.store import StateStore
from tests.stream.commands.test_read_sequence import remembered


@pytest.mark.parametrize("groups", [2, 3])
def test_a_user_of_several_groups_is_refused_with_two_of_them(tmp_path: Path, groups: int) -> None:
    for number in range(groups):
        store = StateStore(tmp_path / f"shop-{number}", lambda cause: None)
        store.open(0)
        store.write(0, [(b"ann", remembered("i1"))], 0)
        store.close_all()

    with pytest.raises(StateError, match=r"in shop-0/partition-0 and in shop-1/partition-0;"):
        read_sequence("ann", tmp_path)
