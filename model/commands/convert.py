"""The command ``lately convert``: converts a public data set into an event log."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import orjson
import typer

from model.data.external_sort import in_time_order
from model.errors import DataError
from model.formats import FORMATS
from model.formats.conversion import Conversion
from model.formats.output import EVENT_SUFFIXES, ITEM_SUFFIXES, write_events, write_items
from model.formats.report import ConversionReport
from model.formats.span import ALL_TIMES, Span, describe_event, moment_ms
from model.formats.table import Event
from model.progress import progress
from model.scratch import scratch_folder

NAMES = ", ".join(FORMATS)


def convert(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help=f"One of {NAMES}.")],
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files of the set, or its folder.")
    ],
    out: Annotated[Path, typer.Option(help="The event log to write: .jsonl, .csv or .parquet.")],
    items: Annotated[
        Path | None,
        typer.Option(help="Also write item_id, category, title: .jsonl, .csv or .tsv."),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(parser=moment_ms, metavar="TIME", help="Only events from this time on."),
    ] = None,
    until: Annotated[
        int | None,
        typer.Option(parser=moment_ms, metavar="TIME", help="Only events before this time."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Convert a public data set into events, in order of time.

    Rows that are not events, or outside the span, are counted by reason and reported. A TIME is
    ISO 8601 with a zone, such as 2018-03-03T10:00:00+08:00.
    """
    if name not in FORMATS:
        raise typer.BadParameter(f"{name!r} is unknown; choose one of {NAMES}")
    _check_suffix(out, EVENT_SUFFIXES, "--out")
    if items is not None:
        _check_suffix(items, ITEM_SUFFIXES, "--items")
    report = run(name, paths, out, items, Span(since, until))
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        typer.echo("\n".join(report.lines()))


def run(
    name: str, paths: list[Path], out: Path, items: Path | None = None, span: Span = ALL_TIMES
) -> ConversionReport:
    """Convert and write; raises DataError, also if there are no events.

    The span selects events only; the items are always those of the whole set.
    """
    conversion = Conversion.of(FORMATS[name], paths)
    if items is not None and not any(source.table.to_item for source in conversion.sources):
        raise DataError(f"{paths[0]}: has no data on items; leave out --items")
    conversion.keep_items = items is not None
    report = conversion.report
    with (
        progress(f"converting {name}", conversion.size_bytes) as conversion.on_bytes,
        _scratch_beside(out) as scratch,
    ):
        ordered = _ordered(span.of(conversion.events(), report), scratch)
        write_events(_not_empty(_counted(ordered, report), report), out)
    if items is not None:
        write_items(conversion.items.values(), items)
    return report


def _check_suffix(path: Path, suffixes: tuple[str, ...], option: str) -> None:
    if path.suffix not in suffixes:
        raise typer.BadParameter(f"{option} {path}: expected a name with {' or '.join(suffixes)}")


@contextmanager
def _scratch_beside(out: Path) -> Iterator[Path]:
    # On the disk of the output, as it needs about the same space.
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(".lately-", out.parent))
        except OSError as error:
            raise DataError(
                f"{out}: cannot be written: {error.strerror}; choose another"
            ) from error
        yield folder


def _ordered(events: Iterable[Event], scratch: Path) -> Iterator[Event]:
    entries = ((event["ts"], orjson.dumps(event)) for event in events)
    return (orjson.loads(content) for _, content in in_time_order(entries, scratch))


def _counted(events: Iterable[Event], report: ConversionReport) -> Iterator[Event]:
    """Count the events and drop duplicates, which have the same time."""
    current_ms, seen = None, set[str]()
    for event in events:
        if event["ts"] != current_ms:
            current_ms, seen = event["ts"], set()
        if event["event_id"] in seen:
            report.reject("a duplicate of another row", describe_event(event))
            continue
        seen.add(event["event_id"])
        report.events[event["action"]] += 1
        yield event


def _not_empty(events: Iterator[Event], report: ConversionReport) -> Iterator[Event]:
    yield from events
    if not report.events:
        reasons = "; ".join(f"{rows} rows: {why}" for why, rows in report.rejected.most_common())
        raise DataError(f"no row became an event; {reasons or 'the files are empty'}")
