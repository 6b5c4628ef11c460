"""The command ``lately convert``: converts a public data set, or any table, into an event log."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import typer

from model.data.external_sort import in_time_order
from model.errors import DataError
from model.formats import FORMATS
from model.formats.conversion import Conversion
from model.formats.mapped import FIELDS, UNITS, Columns, mapped_format
from model.formats.output import EVENT_SUFFIXES, ITEM_SUFFIXES, write_events, write_items
from model.formats.report import ConversionReport
from model.formats.span import ALL_TIMES, Span, describe_event, moment_ms
from model.formats.table import Event
from model.progress import progress
from model.scratch import scratch_folder

TABLE = "table"
EXAMPLE = datetime(2026, 1, 31, 12, tzinfo=UTC)  # a time that every pattern can be tried on
NAMES = ", ".join([*FORMATS, TABLE])


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
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map", metavar="FIELD=COLUMN", help="Table: the column of a field; may be repeated."
        ),
    ] = None,
    actions: Annotated[
        list[str] | None,
        typer.Option(
            "--action",
            metavar="NAME=ACTION",
            help="Table: the action of a name; may be repeated. One without = is every row's.",
        ),
    ] = None,
    time_format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="Table: s, ms, us, ns or a pattern such as %d.%m.%Y %H:%M. "
            "Default: milliseconds or ISO 8601.",
        ),
    ] = None,
    zone: Annotated[
        str, typer.Option(metavar="ZONE", help="Table: the time zone of times without one.")
    ] = "UTC",
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Convert a public data set, or any table, into events, in order of time.

    Rows that are not events, or outside the span, are counted by reason and reported. A TIME is
    ISO 8601 with a zone, such as 2018-03-03T10:00:00+08:00. FORMAT table takes a CSV, JSON lines or
    Parquet in columns of any name, which --map, --action and --time-format explain.
    """
    if name not in (*FORMATS, TABLE):
        raise typer.BadParameter(f"{name!r} is unknown; choose one of {NAMES}")
    if name != TABLE and (maps or actions or time_format):
        raise typer.BadParameter(f"--map, --action and --time-format are for the format {TABLE}")
    _check_suffix(out, EVENT_SUFFIXES, "--out")
    if items is not None:
        _check_suffix(items, ITEM_SUFFIXES, "--items")
    columns = _columns(maps or [], actions or [], time_format, zone) if name == TABLE else None
    _check_outputs(paths, out, items)
    report = run(name, paths, out, items, Span(since, until), columns)
    if as_json:
        typer.echo(json.dumps(report.to_json()))
    else:
        typer.echo("\n".join(report.lines()))


def _columns(maps: list[str], actions: list[str], time_format: str | None, zone: str) -> Columns:
    of, names = _pairs(maps, "--map FIELD=COLUMN"), [text for text in actions if "=" not in text]
    if unknown := [field for field in of if field not in FIELDS]:
        raise typer.BadParameter(f"--map {unknown[0]}: expected one of {', '.join(FIELDS)}")
    if len(names) > 1 or (names and len(actions) > 1):
        raise typer.BadParameter(f"--action {names[0]}: is every row's, so give no other --action")
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"--zone {zone!r}: expected one such as Europe/Berlin") from None
    if time_format is not None and time_format not in UNITS:
        _check_pattern(time_format)
    renamed = {} if names else _pairs(actions, "--action NAME=ACTION")
    return Columns(of, renamed, names[0] if names else None, time_format, found)


def _check_pattern(pattern: str) -> None:
    fault = f"expected {', '.join(UNITS)}, or a pattern such as %d.%m.%Y %H:%M"
    if "%Z" in pattern:  # Python reads the name and forgets it
        fault = "%Z is not read; write the name as it stands there, and give --zone"
    elif "%" in pattern:
        try:
            datetime.strptime(EXAMPLE.strftime(pattern), pattern)  # noqa: DTZ007 only tried
            return
        except ValueError as error:
            fault = str(error)
    raise typer.BadParameter(f"--time-format {pattern!r}: {fault}")


def _pairs(texts: list[str], form: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (a, _, b) in zip(texts, pairs, strict=True) if not (a and b)]:
        raise typer.BadParameter(f"{wrong[0]!r}: expected {form}")
    names = [a for a, _, _ in pairs]
    if twice := [a for a in dict.fromkeys(names) if names.count(a) > 1]:
        raise typer.BadParameter(f"{form}: {twice[0]} is given twice")
    return {a: b for a, _, b in pairs}


def run(
    name: str,
    paths: list[Path],
    out: Path,
    items: Path | None = None,
    span: Span = ALL_TIMES,
    columns: Columns | None = None,
) -> ConversionReport:
    """Convert and write; raises DataError, also if there are no events.

    The span selects events only; the items are always those of the whole set. ``columns`` is for
    the format ``table``.
    """
    conversion = Conversion.of(FORMATS[name] if columns is None else mapped_format(columns), paths)
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


def _check_outputs(paths: list[Path], out: Path, items: Path | None) -> None:
    """Raise DataError if writing would replace what is read, or one output the other."""
    taken = {path.resolve() for path in paths}
    for option, path in (("--out", out), ("--items", items)):
        if path is not None and path.resolve() in taken:
            raise DataError(f"{option} {path}: is read or written, too; name another file")
        taken.add((path or out).resolve())


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
        most = report.rejected.most_common(5)
        reasons = "; ".join(f"{rows} row{'s'[: rows != 1]}: {why}" for why, rows in most)
        raise DataError(f"no row became an event; {reasons or 'the files are empty'}")
