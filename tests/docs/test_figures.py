"""The figures in the documents that the code decides: limits, times, layouts, and worked bytes."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from model.artifact import day_parts
from model.baselines import BASELINES
from model.config import ArtifactConfig
from model.data import attributes, pseudonyms
from model.data.memory import BYTES_A_ROW
from model.serving import reranking
from model.times import fault_of, unit_of
from model.training.private import budget
from model.understanding import together
from stream import events, health, logs
from stream.commands.doctor_checks import doctor_events
from stream.export import spill
from stream.export.period import Period
from stream.group import rejoin
from stream.kafka import placement, write_fence
from stream.pipeline import odd_times, shedding
from stream.settings import WorkerSettings
from stream.storage import recovery, tuning, view
from stream.user_state import UserState
from stream.worker import expiry, memory, scoring_handler, source_watch
from tests.docs.blocks import blocks

ROOT = Path(__file__).parents[2]
WORDS = {
    0.01: "one event in a hundred",
    0.1: "a tenth",
    0.75: "three quarters",
    1: "one",
    2: "two",
    4: "four",
    5: "five",
    6: "six",
    10: "ten",
    20: "twenty",
    1000: "thousand",
}
ITEMS = ArtifactConfig().top_items
MINUTE_S, HOUR_MS, DAY_S = 60, 3_600_000, 86_400


def setting(name: str) -> float:
    """The default of a setting."""
    return float(WorkerSettings.model_fields[name].default)


# A document, what it says, and the figure of the code that stands in for {}.
SAID: list[tuple[str, str, float]] = [
    ("operations", "gets only the {} best items", shedding.SHORT_ITEMS),
    ("operations", "**`--ttl-s`** ({:.0f} days)", setting("ttl_s") / DAY_S),
    ("operations", "worker looks for them every {} minutes", expiry.MAX_PAUSE_S / MINUTE_S),
    ("operations", "at most {:,.0f} users a second", expiry.USERS_PER_S),
    ("operations", "`--allowed-lateness-ms`** ({} hour)", setting("allowed_lateness_ms") / HOUR_MS),
    ("operations", "`--max-future-ms`** ({} minutes)", setting("max_future_ms") / 1000 / MINUTE_S),
    ("operations", "counts {} as late", odd_times.SHARE),
    ("operations", "does so every {} seconds at most", write_fence.TOLERATED_S),
    ("operations", "what it knows of them every {} seconds", source_watch.EVERY_S),
    ("operations", "every {} seconds (`--artifact-poll-s`", setting("artifact_poll_s")),
    ("operations", "heartbeat is more than {} seconds old", health.MAX_SILENCE_S),
    ("operations", "{:.0f} MB of block cache", tuning._BLOCK_CACHE_BYTES / (1 << 20)),
    ("operations", "{:.0f} MB of write buffers", tuning._WRITE_BUFFERS_BYTES / (1 << 20)),
    ("operations", "limited to {} arenas", memory._ARENAS),
    ("operations", "is shown once in {} minutes per kind", logs.LIBRARY_REPEAT_S / MINUTE_S),
    ("operations", "More than {} such writes", rejoin.MAX_REJOINS),
    ("operations", "such writes in {} minutes", rejoin.WINDOW_S / MINUTE_S),
    ("operations", "nested more than {:.0f} levels", events.MAX_DEPTH),
    ("operations", "the newest {} events", doctor_events.NEWEST),
    ("operations", "the newest {} keys", placement.NEWEST),
    ("operations", "{} minutes later (`--forget-marker-s`)", setting("forget_marker_s") / MINUTE_S),
    ("operations", "every {} seconds before it is ready", scoring_handler.READING_S),
    ("events", "at most {:.0f} levels deep", events.MAX_DEPTH),
    ("events", "at most {:.0f} KiB (`--max-message-bytes`)", setting("max_message_bytes") / 1024),
    ("events", "the user's last {:.0f} (`--dedupe-window`)", setting("dedupe_window")),
    ("reliability", "among the user's last {:.0f}.", setting("dedupe_window")),
    ("state-format", "at most {:.0f} (`--sequence-length`)", setting("sequence_length")),
    ("state-format", "at most {:.0f} (`--dedupe-window`)", setting("dedupe_window")),
    ("state-format", "than {} of the changelog's", recovery._SAFE_SHARE),
    ("training", "one in {:.0f} users", spill.BUCKETS),
    ("training", "about {:.0f} bytes per row", BYTES_A_ROW),
    ("training", "and {} simple rules", len(BASELINES)),
    ("real-data", "and {} simple rules", len(BASELINES)),
    ("cold-start", "in {} periods", day_parts.PARTS),
    ("cold-start", "periods of {} hours", day_parts.PART_MS / HOUR_MS),
    ("cold-start", "column of {} values or more", attributes.FEW),
    ("scoring-options", "lists the {} items", ITEMS),
    ("scoring-options", "the {:.0f} likeliest", reranking.CANDIDATES * ITEMS),
    ("privacy", "{} of ε", budget.COUNTS_SHARE),
    ("privacy", "at least {:.0f} bytes", pseudonyms.SHORTEST_KEY),
    ("privacy", "the first {:.0f} hexadecimal digits", pseudonyms.DIGITS),
    ("understanding", "more than {:.0f} items", together.MOST_IN_BASKET),
]


@pytest.mark.parametrize(("document", "said", "figure"), SAID, ids=[said[1] for said in SAID])
def test_a_figure_is_that_of_the_code(document: str, said: str, figure: float) -> None:
    text = " ".join((ROOT / "docs" / f"{document}.md").read_text(encoding="utf-8").split())
    words = said.format(WORDS.get(figure, figure)) if "{}" in said else said.format(figure)

    assert words.lower() in text.lower()


def number(text: str) -> int:
    base, _, power = text.partition("^")
    return int(pow(int(base), int(power or 1)))


def test_the_table_of_times_is_the_rule() -> None:
    text = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    table = text.partition("| the number | is taken for | |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
    starts = [number(found[-1]) for r in rows[1:3] if (found := re.findall(r"from ([\d^]+)", r[0]))]
    last_ms = number(re.findall(r"up to (\d{12,})", rows[2][0])[0])
    starts += [last_ms + 1, number(re.findall(r"from ([\d^]+)", rows[4][0])[0])]
    units = [re.findall(r"\w+", row[1])[0] for row in rows]

    assert len(rows) == 5
    for first, before, unit in zip(starts, units, units[1:], strict=False):
        assert unit_of(first) == unit
        assert unit_of(first - 1) == (None if before == "nothing" else before)
        assert (fault_of(first) is None) == (unit == "milliseconds")


def test_the_times_of_an_export_are_taken_as_they_are_printed() -> None:
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    printed = text.partition("`--until` are times (")[2].partition("select by event time")[0]
    times = re.findall(r"`([^`]+)`", printed)

    assert len(times) == 6
    for time in times:
        assert Period.parse(time, None, 1_790_000_000_000)


def test_the_bytes_of_the_state_format_are_those_of_a_state() -> None:
    text = (ROOT / "docs" / "state-format.md").read_text(encoding="utf-8")
    shown = [
        re.findall(r"^    ([0-9a-f ]+?)(?:  .*)?$", block, re.MULTILINE)
        for block in re.findall(r"(?:^    .+\n)+", text, re.MULTILINE)
    ]
    first, second = (UserState.from_bytes(bytes.fromhex("".join(lines))) for lines in shown)

    assert (first.items, first.times_ms, first.applied_offset) == (["i1"], [1790000000000], 0)
    assert list(first.action_types) == ["click"]
    assert (second.items, list(second.category_names)) == (["i1"], ["shoes"])
    for state, lines in zip((first, second), shown, strict=True):
        assert state.to_bytes().hex() == "".join(lines).replace(" ", "")


def test_the_keys_of_a_partition_are_those_of_the_store() -> None:
    text = (ROOT / "docs" / "state-format.md").read_text(encoding="utf-8")
    said = set(re.findall(r"^\| `m` \+ `(\w+)` \|", text, re.MULTILINE))
    prefixes = set(re.findall(r"^\| `(\w)` \+ user id \|", text, re.MULTILINE))

    assert {f"m{name}".encode() for name in said} == {view.OFFSET, view.WRITTEN, view.SOURCE}
    assert {prefix.encode() for prefix in prefixes} == {view.USER, view.MARKER}


def test_what_the_log_is_said_to_say_is_in_the_code() -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = text.partition("\n## The log\n")[2].partition("\n## ")[0]
    code = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "stream").rglob("*.py"))
    lines = [words for words in re.findall(r"`([a-z][\w: ]+)`", section) if " " in words]

    assert len(lines) >= 7
    assert [line for line in lines if f'"{line}' not in code] == []


def test_the_receipt_that_is_shown_fits_its_schema() -> None:
    schema = json.loads((ROOT / "stream/schemas/receipt.schema.json").read_text(encoding="utf-8"))
    shown = [b.text for b in blocks(ROOT / "docs" / "operations.md") if b.language == "json"]
    (receipt,) = (json.loads(text.replace("…", "0" * 32)) for text in shown)

    jsonschema.Draft202012Validator(schema).validate(receipt)
    assert set(receipt) == set(schema["properties"])
