"""The lease: held for a session from when an answered heartbeat was sent, and no longer."""

from stream.lease import Lease


class Clock:
    """Stands still until it is set."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_nobody_holds_it_before_the_first_answer() -> None:
    assert not Lease(10.0, Clock()).held()


def test_it_counts_from_when_the_heartbeat_was_sent_not_from_its_answer() -> None:
    clock = Clock()
    lease = Lease(10.0, clock)
    lease.renew(sent_s=95.0)

    clock.now_s = 104.9
    assert lease.held()
    clock.now_s = 105.0
    assert not lease.held()


def test_an_answer_that_comes_late_takes_nothing_away() -> None:
    clock = Clock()
    lease = Lease(10.0, clock)
    lease.renew(sent_s=99.0)
    lease.renew(sent_s=90.0)

    clock.now_s = 108.0
    assert lease.held()
