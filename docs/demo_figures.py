"""The figures of the demo's model in the documents: ``python -m docs.demo_figures`` writes them.

Each table is the output of a command on the artifact in the package, or is computed from it.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from model.artifact.artifact import Artifact
from model.catalogue import NO_CATEGORY
from model.sequence import Sequence as Actions
from model.serving.onnx import OnnxScorer
from model.serving.options import ScoringOptions
from model.synthetic.demo_artifact import FOLDER, START_MS

DOCS = Path(__file__).parent
ITEM = "i00449"
# A shopper who views two headphones, and head torches between them, and puts one into the cart.
STEPS = (("i00137", "click"), ("i00007", "click"), (ITEM, "click"), (ITEM, "cart"))
MINUTE_MS = 60_000
OPTIONS = (
    ("none", ScoringOptions()),
    ("`--exclude-seen`", ScoringOptions(exclude_seen=True)),
    ("`--max-per-category 2`", ScoringOptions(max_per_category=2)),
    ("`--diversity 0.5`", ScoringOptions(diversity=0.5)),
    ("`--recency-temperature 0.5`", ScoringOptions(recency_temperature=0.5)),
    ("`--recency-temperature 3`", ScoringOptions(recency_temperature=3.0)),
)


def main() -> None:
    """Replace the figures in both documents."""
    understanding = DOCS / "understanding.md"
    text = understanding.read_text(encoding="utf-8")
    text = fenced(text, "demo ", inspected())
    text = fenced(text, "item ", lately("similar", ITEM, "--artifact", FOLDER, "--top", "5"))
    text = fenced(text, f"{ITEM}: ", explained())
    understanding.write_text(text, encoding="utf-8")
    scoring = DOCS / "scoring-options.md"
    text = scoring.read_text(encoding="utf-8")
    scoring.write_text(rows(text, "| options | 1 | 2 | 3 |", listed()), encoding="utf-8")


def lately(*words: str | Path) -> str:
    """The output of a command."""
    command = [sys.executable, "-m", "stream", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def inspected() -> str:
    """What `lately artifact inspect` shows, without the parts that are not described."""
    lines = lately("artifact", "inspect", FOLDER).splitlines()
    held_out, files = lines.index("next item, held out"), lines.index("files")
    return "\n".join(
        [
            *lines[:5],
            "…",
            *lines[held_out : held_out + 4],
            "…",
            "files",
            "…",
            *lines[files + 1 :][-3:],
        ]
    )


def explained() -> str:
    """Why the shopper sees the item."""
    with TemporaryDirectory() as scratch:
        log = Path(scratch) / "events.jsonl"
        events = [
            {"user_id": "u1", "item_id": item, "action": action, "ts": START_MS + k * MINUTE_MS}
            for k, (item, action) in enumerate(STEPS)
        ]
        log.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
        return lately("explain", log, ITEM, "--artifact", FOLDER)


def listed() -> list[str]:
    """A row for each scoring option: the first three items of the shopper's score."""
    times = tuple(START_MS + k * MINUTE_MS for k in range(len(STEPS)))
    items, actions = zip(*STEPS, strict=True)
    shopper = Actions(items, actions, times, times[-1])
    return [f"| {name} | {' | '.join(best(options, shopper))} |" for name, options in OPTIONS]


def best(options: ScoringOptions, shopper: Actions) -> Sequence[str]:
    """The first three items, each with its category and probability."""
    scorer = OnnxScorer(Artifact.open(FOLDER), options)
    catalogue = scorer.catalogue
    cells = []
    for item, chance in scorer.score([shopper])[0].items[:3]:
        code = int(catalogue.item_categories[catalogue.index[item]])
        category = "" if code == NO_CATEGORY else catalogue.categories[code]
        cells.append(f"{item} {category} {chance:.3f}".replace(" 0.", " ."))
    return cells


def fenced(text: str, start: str, content: str) -> str:
    """Replace the content of the fenced block that begins with ``start``."""
    block = re.compile(rf"```\n{re.escape(start)}.*?\n```", re.DOTALL)
    return one(block, text, f"```\n{content.rstrip()}\n```")


def rows(text: str, header: str, lines: Sequence[str]) -> str:
    """Replace the rows of the table with this header."""
    table = re.compile(rf"({re.escape(header)}\n\|[-|]+\|\n)((?:\|.*\n)+)")
    found = table.search(text)
    start = found[1] if found else ""
    return one(table, text, start + "".join(f"{line}\n" for line in lines))


def one(pattern: re.Pattern[str], text: str, replacement: str) -> str:
    """Replace the only match; raises ValueError if there is not exactly one."""
    replaced, found = pattern.subn(lambda _: replacement, text)
    if found != 1:
        raise ValueError(f"{pattern.pattern!r} is {found} times in the document, expected once")
    return replaced


if __name__ == "__main__":
    main()
