"""A fault: what is done to a run, and which Kafka it needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.chaos.cluster import Kind

if TYPE_CHECKING:
    from tests.chaos.run import Run

Inject = Callable[["Run"], None]


@dataclass(frozen=True)
class Fault:
    """``inject`` feeds what it likes of the load, does its harm, heals it, and returns.

    What is left of the load is fed afterwards, and then everything must be as promised.
    """

    name: str
    inject: Inject
    kind: Kind
    events: int

    @property
    def says(self) -> str:
        """What it does, in one line."""
        return (self.inject.__doc__ or "").splitlines()[0]


def fault(kind: Kind = "shared", events: int = 6_000) -> Callable[[Inject], Fault]:
    """Make a function a fault of its name, with hyphens."""

    def make(inject: Inject) -> Fault:
        return Fault(inject.__name__.replace("_", "-"), inject, kind, events)

    return make
