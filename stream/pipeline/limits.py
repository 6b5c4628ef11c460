"""The limits of the pipeline: how much it may hold in memory, and how long things may wait."""

from typing import NamedTuple


class Limits(NamedTuple):
    """How much may wait, and for how long."""

    pending_users: int
    in_flight: int  # batches
    cache_users: int
    shed_after_s: float | None = None  # see `stream.pipeline.shedding`
    forget_marker_s: float = 0.0  # see `stream.pipeline.partition`
