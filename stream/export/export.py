"""The command `lately export`: writes the events topic as a log that `lately train` reads."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from model.progress import progress
from model.scratch import scratch_folder
from stream.errors import LatelyError, SettingsError
from stream.events import Event, Payload, Validator
from stream.export.judgement import kept
from stream.export.log_writer import LogWriter
from stream.export.period import Period, as_text
from stream.export.settings import ExportSettings
from stream.export.spill import Row, Spill
from stream.kafka.command_clients import open_reader
from stream.kafka.placement import default_partitioner

# What is said of the events that are left out, in this order.
_LEFT_OUT = {
    "late": "late",
    "duplicate": "duplicate",
    "replayed": "replayed",
    "dead": "invalid",
    "forgotten": "forgotten",
    "outside": "outside of the period",
}


def export(
    settings: ExportSettings,
    out: Path,
    since: str,
    until: str | None = None,
    *,
    as_json: bool = False,
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> None:
    """Write the events that a worker would have kept to a new folder, and print a summary.

    The end of the topic is fixed at the start. Nobody is in the log who asked before it to be
    forgotten and did not come back. Raises SettingsError for a period or folder that cannot be,
    LatelyError if no event is left, TopicsError and BrokerError.
    """
    now_ms = clock_ms()
    period = Period.parse(since, until, now_ms)
    if out.exists():
        raise SettingsError(f"--out: {out} exists; name a folder that does not")
    try:
        with scratch_folder(".lately-export-", beside=out.parent) as scratch:
            manifest = _export(settings, period, scratch, now_ms)
            (scratch / "log").rename(out)
    except OSError as error:
        raise LatelyError(
            f"--out: cannot write {out} ({error.strerror}); make its parent folder, or free disk"
        ) from error
    print(json.dumps(manifest) if as_json else summary(manifest, out))


def _export(settings: ExportSettings, period: Period, scratch: Path, now_ms: int) -> dict[str, Any]:
    rows, log = scratch / "rows", scratch / "log"
    rows.mkdir()
    log.mkdir()
    dead: Counter[str] = Counter()
    with Spill(rows) as spill:
        ranges = asyncio.run(_read(settings, period, spill, dead))
    counts: Counter[str] = Counter()
    writer = LogWriter(log)
    with progress("writing", spill.rows) as update:
        writer.write(_judged(spill, period, settings, counts, update))
    counts["dead"] = dead.total()
    if not writer.files:
        raise LatelyError(
            f"{settings.events_topic}: no event of this period is left for a log "
            f"({_left_out(counts) or 'there are none'}); give an earlier --since"
        )
    manifest = {
        "topic": settings.events_topic,
        "made_at": as_text(now_ms),
        "since": as_text(period.since_ms),
        "until": None if period.is_open else as_text(period.until_ms),
        "offsets": {str(n): {"from": r.start, "to": r.stop} for n, r in ranges.items()},
        "events": counts["exported"],
        "first": as_text(writer.first_ms or 0),
        "last": as_text(writer.last_ms or 0),
        "left_out": {name: counts[name] for name in _LEFT_OUT},
        "dead": dict(dead.most_common()),
        "files": writer.files,
    }
    writer.write_manifest(manifest)
    return manifest


async def _read(
    settings: ExportSettings, period: Period, spill: Spill, dead: Counter[str]
) -> dict[int, range]:
    """Put every valid event into the spill; returns the offsets that were read."""
    topic = settings.events_topic
    # Nothing older than this belongs to the period: later times are clamped to that of the record.
    since_ms = max(0, period.since_ms - settings.max_future_ms)
    async with open_reader(settings, topic, "--events-topic", committed=True) as reader:
        ranges = await reader.ranges_since(since_ms)
        validator = Validator(
            frozenset(settings.accepted_actions()),
            settings.max_message_bytes,
            default_partitioner(len(reader.partitions)),
        )
        done, positions = 0, {number: r.start for number, r in ranges.items()}
        with progress("reading", sum(map(len, ranges.values()))) as update:
            async for partition, records, position in reader.read_ranges(ranges):
                events, letters = validator.validate(records, partition)
                dead.update(letter.reason for letter in letters)
                spill.add(_rows(events, partition))
                done += position - positions[partition]
                positions[partition] = position
                update(done)
    return ranges


def _rows(events: Sequence[Event], partition: int) -> Iterator[Row]:
    decode = msgspec.json.Decoder(Payload).decode
    for event in events:
        payload = decode(event.message.value or b"")
        yield Row(
            payload.user_id,
            partition,
            event.offset,
            event.timestamp_ms,
            event.ts_ms,
            event.action,
            event.item,
            event.event_id,
            payload.session_id,
            payload.category,
            payload.price,
            payload.quantity,
        )


def _judged(
    spill: Spill,
    period: Period,
    settings: ExportSettings,
    counts: Counter[str],
    update: Callable[[int], None],
) -> Iterator[Row]:
    for bucket in spill.buckets():
        yield from kept(bucket, period, settings.rules, counts)
        update(counts.total())
        bucket.remove()


def summary(manifest: dict[str, Any], out: Path) -> str:
    """One line for people; a second one says what was left out, if anything was."""
    line = (
        f"wrote {manifest['events']:,} events of {manifest['topic']} to {out}; event time "
        f"{manifest['first']} to {manifest['last']}"
    )
    left_out = _left_out(manifest["left_out"])
    return f"{line}\nleft out: {left_out}" if left_out else line


def _left_out(counts: Any) -> str:
    found: Iterable[tuple[int, str]] = ((counts[name], words) for name, words in _LEFT_OUT.items())
    return ", ".join(f"{n:,} {words}" for n, words in found if n)
