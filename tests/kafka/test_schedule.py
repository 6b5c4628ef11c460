"""Tests that share a broker or a load stay together; the others go wherever a process is free."""

from pathlib import Path

from tests.kafka.schedule import SECURE, group_of

KAFKA = "tests/kafka"


def test_every_user_of_the_secure_broker_is_in_one_group() -> None:
    others = set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)}
    users = {path.name for path in others if "secure_broker:" in path.read_text(encoding="utf-8")}

    assert users == SECURE
    assert len({group_of(f"{KAFKA}/{name}::test_it[1]") for name in users}) == 1


def test_runs_over_one_load_are_a_group_for_each_seed() -> None:
    runs = [f"{KAFKA}/test_promises.py::{test}" for test in ("test_a[0]", "test_b[0]", "test_a[1]")]

    first, same, other = map(group_of, runs)

    assert first == same != other


def test_any_other_test_is_a_group_of_its_own() -> None:
    tests = [f"{KAFKA}/test_edges.py::test_a[{number}]" for number in range(3)]

    assert [group_of(test) for test in tests] == tests
