"""What a disk must hold by its changelog, up to its own offset."""

from stream.storage.verification import Row, Verification
from stream.user_state import UserState

Headers = list[tuple[str, bytes | None]]
Log = list[tuple[int, bytes, bytes | None, Headers]]
LOG: Log = [
    *((0, b"a", b"1", []), (1, b"b", b"1", []), (2, b"a", b"2", [])),
    *((4, b"c", b"1", []), (5, b"b", None, [])),
]


def state(applied_offset: int) -> bytes:
    user = UserState()
    user.applied_offset = applied_offset
    return user.to_bytes()


def compared(disk: dict[bytes, bytes], offset: int | None, log: Log = LOG, end: int = 6) -> Row:
    check = Verification(0, offset)
    for record in log:
        check.add(*record)
    return check.compare(disk.items(), end)


def test_a_disk_at_the_end_of_its_changelog_fits() -> None:
    row = compared({b"a": b"2", b"c": b"1"}, offset=5)

    assert (row.equal, row.fits) == (2, True)


def test_a_disk_that_is_behind_is_compared_with_what_was_there_then() -> None:
    row = compared({b"a": b"2", b"b": b"1"}, offset=2)

    assert (row.equal, row.fits) == (2, True)


def test_another_value_a_missing_and_an_extra_user_are_each_counted() -> None:
    row = compared({b"a": b"1", b"b": b"1", b"x": b"1"}, offset=5)

    # a is of an earlier record, b was deleted, x never was; c is not there.
    assert (row.equal, row.differ, row.extra, row.missing) == (0, 1, 2, 1)
    assert not row.fits


def test_what_compaction_took_away_behind_a_later_value_cannot_be_told() -> None:
    compacted = [record for record in LOG if record[0] != 1]
    row = compared({b"a": b"2", b"b": b"1"}, offset=2, log=compacted)

    assert (row.equal, row.untold, row.fits) == (1, 1, True)


def test_a_record_that_came_too_late_is_not_what_the_disk_must_hold() -> None:
    furthest, late = (state(offset) for offset in (9, 4))
    log: Log = [(0, b"a", furthest, []), (1, b"a", late, [])]
    row = compared({b"a": furthest}, offset=1, log=log, end=2)

    assert (row.equal, row.fits) == (1, True)


def test_nor_is_a_tombstone_that_came_after_the_user_was_back() -> None:
    # Of the forget at 9, and the user is back at 12; of one at 12 or later it would count.
    back = state(12)
    for reach, expected in ((9, {b"a": back}), (12, {}), (13, {})):
        header: Headers = [("lately.applied_offset", b"%d" % reach)]
        log: Log = [(0, b"a", back, []), (1, b"a", None, header)]

        assert compared(expected, offset=1, log=log, end=2).fits


def test_a_late_state_does_not_bring_back_who_is_forgotten() -> None:
    header: Headers = [("lately.applied_offset", b"9")]
    log: Log = [(0, b"a", None, header), (1, b"a", state(8), [])]

    assert compared({}, offset=1, log=log, end=2).fits
    assert compared({b"a": state(8)}, offset=1, log=log, end=2).extra == 1


def test_a_disk_ahead_of_its_changelog_does_not_fit() -> None:
    assert compared({b"a": b"2", b"c": b"1"}, offset=5, end=6).ahead is False
    row = compared({b"a": b"2", b"c": b"1"}, offset=6, end=6)

    assert (row.ahead, row.fits) == (True, False)


def test_an_empty_disk_fits_and_users_on_it_without_an_offset_do_not() -> None:
    assert compared({}, offset=None).fits
    assert compared({b"x": b"1"}, offset=None).extra == 1


def test_a_damaged_partition_does_not_fit_and_says_why() -> None:
    row = Row(3, damage="Corruption: block checksum mismatch")

    assert not row.fits
    assert "block checksum mismatch" in row.line()


def test_a_damaged_partition_counts_no_users() -> None:
    row = Row(3, damage="Corruption: bad block").as_dict()

    assert [row[name] for name in ("equal", "differ", "missing", "extra", "untold")] == [0] * 5
    assert not row["fits"]
