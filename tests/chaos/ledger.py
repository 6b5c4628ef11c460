"""A process's own account (O8): what it took of the log is what it says became of it."""

from collections.abc import Mapping

from tests.kafka.stage import Stage
from tests.kafka.worker import Worker


def lifetime_differences(worker: Worker, stage: Stage, since: Mapping[int, int]) -> tuple[int, str]:
    """How far the outcomes are from the events after ``since``, the offsets it began at.

    Of a worker whose partitions were dealt out again nothing can be said: it has read some twice.
    """
    if "lately_recovery_seconds_count 1.0" not in worker.text("/metrics").splitlines():
        return 0, ""
    told = worker.outcomes().total()
    ends = stage.client.ends(stage.events)
    read = sum(end - since.get(partition, 0) for partition, end in ends.items())
    return abs(told - read), f"events: {read} were there, {told} are accounted for"
