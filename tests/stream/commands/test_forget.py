"""Which ids are accepted, and that no line names a user."""

from pathlib import Path

import pytest

from stream.commands.forget import ForgetRequest, forget
from stream.errors import SettingsError
from stream.settings import KafkaSettings


@pytest.mark.parametrize(
    ("users", "why"),
    [
        ([], "no user is given"),
        (["ann", ""], "user 2: the id has 0 characters"),
        (["x" * 257], "user 1: the id has 257 characters"),
        (["\udcff"], "user 1: the id is not UTF-8"),
    ],
)
def test_ids_that_no_event_could_have_are_refused_by_their_place(
    users: list[str], why: str
) -> None:
    with pytest.raises(SettingsError, match=why) as refusal:
        forget(KafkaSettings(), users)

    assert "xxx" not in str(refusal.value)


def test_users_of_a_file_come_after_those_given(tmp_path: Path) -> None:
    file = tmp_path / "users"
    file.write_text("bob\n\n" + "y" * 300 + "\n")

    with pytest.raises(SettingsError, match="user 3: the id has 300 characters"):
        forget(KafkaSettings(), ["ann"], file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"--file: cannot read .*nowhere"):
        forget(KafkaSettings(), [], tmp_path / "nowhere")


def test_a_line_tells_the_event_and_the_receipt() -> None:
    request = ForgetRequest(user=2, partition=3, offset=9)
    assert (request.key, request.line()) == (b"3-9", "user 2: sent, event 3-9")

    request.receipt_id = "cafe"
    assert request.line() == "user 2: forgotten, event 3-9, receipt cafe"
