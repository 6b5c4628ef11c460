"""The forget: a request to be forgotten that was applied."""

from typing import NamedTuple

from stream.events import Event


class Forget(NamedTuple):
    """A ``forget`` event that was applied, and whether its user had anything to remove."""

    event: Event
    removed: bool
