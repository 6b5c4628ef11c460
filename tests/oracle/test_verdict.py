"""The oracle finds each fault, and finds none in faithful work."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.oracle import faithful
from tests.oracle.answers import Answers
from tests.oracle.evidence import Evidence
from tests.oracle.faithful import CountingScorer, event, user_of_partition, work
from tests.oracle.record import Record
from tests.oracle.value import decode
from tests.oracle.verdict import examine, report

A, B, C = (user_of_partition(partition) for partition in (0, 1, 2))
NOW = 1_700_000_000_000


def log() -> list[Record]:
    """Three users with seven, four and three events; dead messages, a duplicate and a forget."""
    return [
        *(event(0, n, A, NOW + n * 1000, item_id=f"i{n}", event_id=f"e{n}") for n in range(6)),
        event(0, 6, A, NOW, event_id="e5"),
        event(0, 7, A, NOW + 9000),
        *(event(1, n, B, NOW + n * 1000) for n in range(4)),
        event(1, 4, B, NOW, action="view"),
        event(2, 0, C, NOW),
        event(2, 1, C, NOW, action="forget"),
        event(2, 2, C, NOW, item_id="i5"),
        Record(3, 0, NOW, b"k", b"\xff", (("trace", b"\x01"),)),
        event(3, 1, user_of_partition(3), NOW),
        event(3, 2, user_of_partition(3), NOW, action="forget"),
    ]


def found(evidence: Evidence) -> set[str]:
    return {difference.check for difference in examine(evidence, Answers(CountingScorer()))}


def edit_score(
    evidence: Evidence, change: Callable[[dict[str, Any]], Any], at: int = 0
) -> Evidence:
    scores = list(evidence.scores)
    document = json.loads(scores[at].value or b"")
    change(document)
    scores[at] = scores[at]._replace(value=json.dumps(document).encode())
    return evidence._replace(scores=scores)


def edit_value(evidence: Evidence, at: int = 0, **fields: Any) -> Evidence:
    changelog = list(evidence.changelog)
    state = decode(changelog[at].value or b"")._replace(**fields)
    changelog[at] = changelog[at]._replace(value=faithful.encode(state))
    return evidence._replace(changelog=changelog)


@pytest.mark.parametrize("merge", [1, 2, 3, 100])
def test_faithful_work_has_no_difference(merge: int) -> None:
    assert examine(work(log(), merge=merge), Answers(CountingScorer())) == []


@pytest.mark.parametrize(
    ("change", "at"),
    [
        (lambda d: d.update(score_id="0" * 32), 0),
        (lambda d: d.update(n_events=d["n_events"] + 1), 0),
        (lambda d: d["as_of"].update(ts=d["as_of"]["ts"] + 1), 0),
        (lambda d: d["as_of"].update(topic="other"), 0),
        (lambda d: d.update(valid_until=d["valid_until"] - 1), 0),
        (lambda d: d["model"].update(version="ba9876543210"), 0),
        (lambda d: d.update(quality="degraded"), 0),
        (lambda d: d["items"][0].update(item_id="i9"), 0),
        (lambda d: d["items"][0].update(score=d["items"][0]["score"] + 2e-5), 0),
        (lambda d: d["intent"].update(buy=d["intent"]["buy"] + 2e-5), 0),
        (lambda d: d["intent"].pop("buy"), 0),
        (lambda d: d["categories"].append({"category": "c", "score": 0.5}), 0),
        (lambda d: d.update(scored_at="now"), 0),
        (lambda d: d.pop("scored_at"), -2),
    ],
)
def test_score_with_a_wrong_field_is_found(change: Callable[[Any], Any], at: int) -> None:
    assert found(edit_score(work(log()), change, at)) == {"O2 scores"}


def test_score_of_a_late_event_is_as_of_the_newest_event_time() -> None:
    late = [event(0, 0, A, NOW), event(0, 1, A, NOW - 1000)]
    by_the_late_one = edit_score(work(late, merge=1), lambda d: d["as_of"].update(ts=NOW - 1000), 1)

    assert found(work(late, merge=1)) == set()
    assert found(by_the_late_one) == {"O2 scores"}


def test_probability_may_differ_by_less_than_the_tolerance() -> None:
    near = edit_score(work(log()), lambda d: d["intent"].update(buy=d["intent"]["buy"] + 5e-6))

    assert found(near) == set()


def test_score_of_a_duplicate_is_found() -> None:
    assert found(edit_score(work(log()), lambda d: d["as_of"].update(offset=6), 2)) == {"O2 scores"}


def test_missing_last_score_is_found() -> None:
    evidence = work(log())
    scores = [r for r in evidence.scores if r.key != A.encode()]
    of_a = [r for r in evidence.scores if r.key == A.encode()]

    assert found(evidence._replace(scores=scores)) == {"O2 scores"}
    assert found(evidence._replace(scores=scores + of_a[:-1])) == {"O2 scores"}


def test_forgotten_user_with_a_score_is_found() -> None:
    evidence = work(log())

    assert evidence.scores[-1].value is None
    assert found(evidence._replace(scores=evidence.scores[:-1])) == {"O2 scores"}


def test_score_said_twice_is_found_unless_there_was_an_interruption() -> None:
    evidence = work(log())
    twice = evidence._replace(scores=[evidence.scores[0], *evidence.scores])

    assert found(twice) == {"O3 order"}
    assert found(twice._replace(interruptions=1)) == set()


def test_score_said_twice_with_another_content_is_found() -> None:
    evidence = work(log())
    twice = evidence._replace(scores=[evidence.scores[0], *evidence.scores], interruptions=1)

    assert found(edit_score(twice, lambda d: d.update(extra=1))) == {"O3 same score"}


def test_two_steps_back_need_two_interruptions() -> None:
    evidence = work(log(), merge=1)
    first, second, *rest = evidence.scores
    back = evidence._replace(scores=[first, second, first, second, first, second, *rest])

    assert found(back._replace(interruptions=1)) == {"O3 order"}
    assert found(back._replace(interruptions=2)) == set()


def test_score_that_overtakes_a_forget_is_found() -> None:
    evidence = work(log())
    position = [r.key for r in evidence.scores].index(C.encode())
    scores = list(evidence.scores)
    scores.insert(position, scores[position]._replace(value=None))

    assert found(evidence._replace(scores=scores)) == {"O3 order"}


@pytest.mark.parametrize(
    "fields",
    [
        {"as_of_ts": 1},
        {"event_ids": ()},
        {"actions": ()},
        {"forgotten": True},
        {"applied_offset": 6},
    ],
)
def test_state_with_a_wrong_field_is_found(fields: dict[str, Any]) -> None:
    assert "O1 state" in found(edit_value(work(log()), **fields))


def test_state_of_an_event_applied_twice_is_found() -> None:
    evidence = work(log())
    state = decode(evidence.changelog[3].value or b"")
    doubled = edit_value(evidence, 3, actions=(*state.actions, state.actions[-1]))

    assert found(doubled) == {"O1 state"}


def test_missing_last_state_is_found() -> None:
    evidence = work(log())
    without = [r for r in evidence.changelog if r.key != A.encode()]

    assert found(evidence._replace(changelog=without)) == {"O1 state"}


def test_tombstone_of_a_user_who_is_not_forgotten_is_found() -> None:
    evidence = work(log())
    for tombstone in (Record(0, 99, 0, A.encode(), None), faithful.tombstone(0, 99, A.encode(), 7)):
        changelog = [*evidence.changelog, tombstone]

        assert found(evidence._replace(changelog=changelog)) == {"O1 state"}
        assert found(evidence._replace(changelog=changelog, interruptions=1)) == {"O1 state"}


def test_tombstone_of_another_forget_or_of_none_is_found() -> None:
    evidence = work(log())
    of_another = evidence.changelog[-1]._replace(headers=(("lately.applied_offset", b"1"),))
    of_none = evidence.changelog[-1]._replace(headers=())

    for tombstone in (of_another, of_none):
        assert found(evidence._replace(changelog=[*evidence.changelog[:-1], tombstone])) == {
            "O1 state"
        }


def test_a_late_tombstone_is_allowed_to_who_was_cut_off_if_it_is_mended() -> None:
    evidence = work(log())
    back = next(r for r in reversed(evidence.changelog) if r.key == C.encode())  # forgotten at 1
    late = faithful.tombstone(2, 98, C.encode(), 1)
    unmended = evidence._replace(changelog=[*evidence.changelog, late], interruptions=1)
    mended = unmended._replace(changelog=[*unmended.changelog, back._replace(offset=99)])

    assert found(unmended) == {"O1 state"}
    assert found(mended) == set()
    assert found(mended._replace(interruptions=0)) == {"O1 state"}


def test_marker_that_never_becomes_a_tombstone_is_found() -> None:
    evidence = work(log())

    assert evidence.changelog[-1].value is None
    assert found(evidence._replace(changelog=evidence.changelog[:-1])) == {"O1 state"}


def test_bytes_that_are_no_value_are_found() -> None:
    evidence = work(log())
    for broken in (b"", b"\x02", b"\x01\x90", b"\x01\xc1"):
        changelog = [evidence.changelog[0]._replace(value=broken), *evidence.changelog[1:]]

        assert found(evidence._replace(changelog=changelog)) == {"O1 state"}


def test_state_in_another_partition_is_found() -> None:
    evidence = work(log())
    moved = [r._replace(partition=3) if r.key == B.encode() else r for r in evidence.changelog]

    assert found(evidence._replace(changelog=moved)) == {"O1 state"}


def test_missing_extra_or_repeated_dead_letter_is_found() -> None:
    evidence = work(log())
    first, second = evidence.dead
    other = tuple((n, b"7" if n.endswith("offset") else v) for n, v in first.headers)

    assert found(evidence._replace(dead=[first])) == {"O4 dead letters"}
    assert found(evidence._replace(dead=[first, second, second])) == {"O4 dead letters"}
    assert found(evidence._replace(dead=[first, second, first._replace(headers=other)])) == {
        "O4 dead letters"
    }
    assert found(evidence._replace(dead=[first, second, second], interruptions=1)) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r._replace(value=b"?"),
        lambda r: r._replace(key=None),
        lambda r: r._replace(partition=0),
        lambda r: r._replace(headers=r.headers[1:]),
        lambda r: r._replace(headers=r.headers[:-1]),
        lambda r: r._replace(headers=(*r.headers[:-1], ("lately.reason", b"not_json"))),
        lambda r: r._replace(headers=tuple(h for h in r.headers if "exception" not in h[0])),
    ],
)
def test_dead_letter_that_is_not_as_it_should_be_is_found(
    change: Callable[[Record], Record],
) -> None:
    evidence = work(log())
    first, second = evidence.dead

    assert found(evidence._replace(dead=[first, change(second)])) == {"O4 dead letters"}


def edit_receipt(evidence: Evidence, change: Callable[[dict[str, Any]], Any]) -> Evidence:
    first, *others = evidence.receipts
    document = json.loads(first.value or b"")
    change(document)
    changed = first._replace(value=json.dumps(document).encode())
    return evidence._replace(receipts=[changed, *others])


def test_missing_extra_or_repeated_receipt_is_found() -> None:
    evidence = work(log())
    first, second = evidence.receipts  # of C, and of the user of partition 3
    of_no_wish = first._replace(key=b"2-2")  # an event of C, but a click

    assert found(evidence._replace(receipts=[first])) == {"O9 receipts"}
    assert found(evidence._replace(receipts=[first, second, of_no_wish])) == {"O9 receipts"}
    assert found(evidence._replace(receipts=[first, second, second])) == {"O9 receipts"}
    twice = evidence._replace(receipts=[first, second, second], interruptions=1)
    assert found(twice) == set()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(receipt_id="0" * 32),
        lambda d: d.update(group="other"),
        lambda d: d.update(user_id="user-1"),
        lambda d: d["forget"].update(offset=0),
        lambda d: d["forget"].update(topic="other"),
        lambda d: d["forget"].update(ts=1),
        lambda d: d.pop("forgotten_at"),
    ],
)
def test_receipt_with_a_wrong_field_is_found(change: Callable[[Any], Any]) -> None:
    assert found(edit_receipt(work(log()), change)) == {"O9 receipts"}


@pytest.mark.parametrize(
    "changes", [{"value": b"?"}, {"value": None}, {"partition": 1}, {"headers": (("a", b"b"),)}]
)
def test_receipt_that_is_not_as_it_should_be_is_found(changes: dict[str, Any]) -> None:
    evidence = work(log())
    first, second = evidence.receipts

    assert found(evidence._replace(receipts=[first._replace(**changes), second])) == {"O9 receipts"}


def test_commit_short_of_the_end_is_found() -> None:
    evidence = work(log())

    assert found(evidence._replace(committed={**evidence.committed, 1: 4})) == {"O5 commits"}
    assert found(evidence._replace(committed={})) == {"O5 commits"}


def test_report_names_the_kinds_and_the_first_of_each() -> None:
    evidence = work(log())
    differences = examine(
        evidence._replace(committed={}, dead=evidence.dead[:1]), Answers(CountingScorer())
    )
    text = report(differences)

    assert text.startswith("5 differences (4 × O5 commits, 1 × O4 dead letters)")
    assert "partition 0\n    found    None\n    expected 8" in text
