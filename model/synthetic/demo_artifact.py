"""The demo artifact: trained on the synthetic shop, shipped in the package, rebuilt by one command.

``python -m model.synthetic.demo_artifact`` takes a few minutes on one core. The same library
versions on the same processor type give the same artifact.
"""

import itertools
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from model.config import ArtifactConfig
from model.data.log import EventLog
from model.progress import progress
from model.synthetic.shop import Shop
from model.training.plan import Plan, Progress, Recipe
from model.training.run import run

FOLDER = Path(__file__).parents[1] / "demo_artifact"
SHOP_SEED = 1
EVENTS_SEED = 1
START_MS = 1_790_000_000_000
N_EVENTS = 200_000
SHOPPERS = 10_000  # as in the demo, but at their natural rate: 200,000 events span days
STEPS = 1_000


def build(folder: Path, n_events: int = N_EVENTS, epochs: int = 8) -> None:
    """Train on the shop's first ``n_events`` and write the artifact, replacing an older one."""
    torch.set_num_threads(1)  # more threads would change the last bits
    events = Shop(SHOP_SEED).events(SHOPPERS, START_MS, EVENTS_SEED)
    plan = Plan(ArtifactConfig(name="demo"), Recipe(epochs=epochs), width=48, refit=False)
    by = (
        f"python -m model.synthetic.demo_artifact: {n_events} events of {SHOPPERS} shoppers in "
        f"Shop({SHOP_SEED}), events seed {EVENTS_SEED}"
    )
    with TemporaryDirectory() as scratch, progress("training", STEPS) as update:
        path = Path(scratch) / "events.jsonl"
        with path.open("w", encoding="utf-8") as log:
            log.writelines(json.dumps(e) + "\n" for e in itertools.islice(events, n_events))

        def report(found: Progress) -> None:
            update(int(found.done * STEPS))

        run(EventLog.open([path]), plan, folder, overwrite=True, by=by, report=report)


if __name__ == "__main__":
    build(FOLDER)
