"""What an hour of faults came to, and when that is not as promised."""

from pathlib import Path

import pytest

from tests.chaos.outcome import Outcome, read_outcome
from tests.chaos.vitals import Vital

MB = 1_000_000


def an_hour(rss_mb: float = 0.0, descriptor_every: int = 99, thread_every: int = 99) -> list[Vital]:
    """A sample a minute: so much more memory in each, one more of the others every few minutes."""
    return [
        Vital(
            60.0 * n,
            int((200 + n * rss_mb) * MB),
            20 + n // descriptor_every,
            9 + n // thread_every,
            8 + n,
        )
        for n in range(61)
    ]


STEADY = Outcome(0, 60.0, 9, {"cut": 2, "kill": 1}, {"O1": 0}, "", 1, 900.0, an_hour(0.9))


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (STEADY, None),
        (STEADY._replace(differences={"O1": 0, "O4": 2}), "O4: 2 differences"),
        (STEADY._replace(samples=[]), "no worker lived long enough to see a trend"),
        (STEADY._replace(samples=an_hour(rss_mb=1.01)), "memory grows by 1.01 MB a minute"),
        (STEADY._replace(samples=an_hour(descriptor_every=5)), "12.0 descriptors an hour more"),
        (STEADY._replace(samples=an_hour(thread_every=5)), "12.0 threads an hour more"),
    ],
)
def test_what_is_not_as_promised_is_said(outcome: Outcome, line: str | None) -> None:
    assert outcome.failures == ([line] if line else [])


def test_it_says_what_was_seen() -> None:
    said = dict(STEADY.rows())

    assert said["faults"] == "cut 2, kill 1"
    assert said["its slope"] == "+0.90 MB a minute"
    assert said["watched after warm-up"] == "45.0 minutes"
    assert "O8" not in said["differences"]  # nothing can be said of a worker that shares


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "soak.jsonl"
    path.write_text(STEADY._replace(seed=7).to_json() + "\n" + STEADY.to_json() + "\n")

    assert read_outcome(path) == STEADY


def test_it_is_drawn() -> None:
    above, below = STEADY.figure().axes

    assert next(iter(above.lines[0].get_ydata())) == 200  # type: ignore[arg-type]
    names = ["file descriptors", "threads", "files of RocksDB"]
    assert [line.get_label() for line in below.lines] == names
