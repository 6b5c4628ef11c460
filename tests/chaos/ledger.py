"""A process's own account (O8): what it took of the log is what it says became of it."""

from collections.abc import Mapping

from tests.kafka.stage import Stage
from tests.kafka.worker import Worker


def lifetime_differences(worker: Worker, stage: Stage, since: Mapping[int, int]) -> tuple[int, str]:
    """How far the outcomes are from the events after ``since``, the offsets it began at.

    Of a worker whose partitions were dealt out again nothing can be said: it has read some twice.
    """
    lines = worker.text("/metrics").splitlines()
    if _sum(lines, "lately_recovery_seconds_count") != 1:
        return 0, ""
    told = _sum(lines, "lately_events_total{")
    ends = stage.client.ends(stage.events)
    read = sum(end - since.get(partition, 0) for partition, end in ends.items())
    return abs(told - read), f"events: {read} were there, {told} are accounted for"


def _sum(lines: list[str], prefix: str) -> int:
    return sum(int(float(line.split()[-1])) for line in lines if line.startswith(prefix))
