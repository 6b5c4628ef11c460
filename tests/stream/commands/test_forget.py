"""Which ids are accepted, and that no line names a user."""

from pathlib import Path

import pytest

from stream.commands.forget import ForgetEvent, ForgetRequest, forget
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


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + b"y" * 257 + b"\r\n",  # as Windows saves UTF-8
        b"\xef\xbb\xbf\n\xef\xbb\xbf" + b"y" * 257,  # two files put together
    ],
)
def test_a_byte_order_mark_is_no_part_of_an_id(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "users"
    file.write_bytes(content)  # the error would tell 258 characters with a mark

    with pytest.raises(SettingsError, match="the id has 257 characters"):
        forget(KafkaSettings(), [], file)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("ann\n".encode("utf-16"), "is not UTF-8"),  # its byte order mark is no UTF-8
        ("ann\n".encode("utf-16-le"), "holds NUL, as UTF-16 does"),  # but this is
        ("käthe\n".encode("cp1252"), "is not UTF-8"),
    ],
)
def test_a_file_in_another_encoding_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    file = tmp_path / "users"
    file.write_bytes(content)

    with pytest.raises(SettingsError, match=why):
        forget(KafkaSettings(), [], file)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"ann"', "is in quotes"),
        ("'ann'", "is in quotes"),
        ("ann ", "begins or ends in a blank"),
        ("\tann", "begins or ends in a blank"),
        ("ann\u00a0", "begins or ends in a blank"),
        ("ann\x0c", "begins or ends in a blank"),  # as a printed page ends
        ("ann\u200b", "holds a character that cannot be seen"),  # copied from a web page
        ("ann\u2028bob", "holds a character that cannot be seen"),
        ("\x1a", "holds a character that cannot be seen"),  # as DOS ends a file
        ("user_id", "is the name of a column"),
        ('{"user_id": "ann"}', "is JSON"),
    ],
)
def test_a_line_that_is_hardly_an_id_is_refused_by_its_number(
    tmp_path: Path, line: str, why: str
) -> None:
    """Nobody has such an id, so a receipt for it would say nothing of the user who is meant."""
    file = tmp_path / "users"
    file.write_text(f"bob\n\n \n{line}\n", encoding="utf-8")

    with pytest.raises(SettingsError, match=f"line 4 of .* {why}; .* as an argument") as refusal:
        forget(KafkaSettings(), [], file)

    assert "ann" not in str(refusal.value).replace("cannot", "")


def receipt(partition: int, offset: int, *, removed: bool | None) -> ForgetEvent:
    return ForgetEvent(partition, offset, f"id-{partition}", 1, removed)


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ([ForgetEvent(3, 9)], "sent, event 3-9"),
        ([ForgetEvent(3, 9), ForgetEvent(0, 1)], "sent, event 3-9 and 1 more"),
        (
            [receipt(3, 9, removed=True), ForgetEvent(0, 1)],
            "sent, event 3-9 and 1 more; 1 of 2 receipts came",
        ),
        # Of a worker that does not say yet whether it removed anything.
        ([receipt(3, 9, removed=None)], "forgotten, event 3-9, receipt id-3"),
        (
            [receipt(3, 9, removed=False), receipt(0, 1, removed=True)],
            "forgotten, event 3-9, receipt id-3, removed from partition 0",
        ),
        (
            [receipt(3, 9, removed=True), receipt(0, 1, removed=True)],
            "forgotten, event 3-9, receipt id-3, removed from partitions 3, 0",
        ),
        (
            [receipt(3, 9, removed=False), receipt(0, 1, removed=False)],
            "not held in any of 2 partitions, event 3-9, receipt id-3",
        ),
        ([receipt(0, 9, removed=False)], "not held in the partition, event 0-9, receipt id-0"),
    ],
)
def test_a_line_tells_the_event_the_receipt_and_what_was_removed(
    events: list[ForgetEvent], line: str
) -> None:
    assert ForgetRequest(2, events).line() == f"user 2: {line}"
