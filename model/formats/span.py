"""The span: selects the events of a data set to convert by their time."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import typer

from model.formats.report import ConversionReport
from model.formats.table import Event
from model.times import parse_iso_ms


class Span(NamedTuple):
    """From ``since_ms``, inclusive, to ``until_ms``, exclusive; None is no bound."""

    since_ms: int | None = None
    until_ms: int | None = None

    def of(self, events: Iterable[Event], report: ConversionReport) -> Iterator[Event]:
        """The events within the span; the others are counted in the report."""
        for event in events:
            if self.since_ms is not None and event["ts"] < self.since_ms:
                report.reject("before the time of --since", describe_event(event))
            elif self.until_ms is not None and event["ts"] >= self.until_ms:
                report.reject("not before the time of --until", describe_event(event))
            else:
                yield event


ALL_TIMES = Span()


def moment_ms(text: str) -> int:
    """Milliseconds since the epoch; raises typer.BadParameter without a valid time and zone."""
    try:
        return parse_iso_ms(text)
    except ValueError:
        example = "2018-03-03T10:00:00+08:00"
        raise typer.BadParameter(
            f"{text!r}: expected ISO 8601 with a zone, such as {example}"
        ) from None


def describe_event(event: Event) -> str:
    """The event's identity for a report, once its row number is no longer known."""
    return f"user {event['user_id']}, item {event['item_id']}, {event['ts']} ms"
