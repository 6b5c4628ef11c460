"""The demo's artifact: trained on the made shop and kept in the package, rebuilt by one command.

``python -m model.synthetic.demo_artifact`` takes a few minutes of one core. Equal versions of the
libraries on an equal processor give an equal artifact.
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
SHOPPERS = 10_000  # the demo's; here they come at their own pace, so that 200,000 events take days
STEPS = 1_000


def build(folder: Path, n_events: int = N_EVENTS, epochs: int = 8) -> None:
    """Train on the first ``n_events`` of the shop and write the artifact, over an older one."""
    torch.set_num_threads(1)  # more would change the last bits
    events = Shop(SHOP_SEED).events(SHOPPERS, START_MS, EVENTS_SEED)
    plan = Plan(ArtifactConfig(name="demo"), Recipe(epochs=epochs), width=48, refit=False)
    by = (
        f"python -m model.synthetic.demo_artifact: {n_events} events of {SHOPPERS} shoppers in "
        f"Shop({SHOP_SEED}), events seed {EVENTS_SEED}"
    )
    with TemporaryDirectory() as scratch, progress("training", STEPS) as tell:
        path = Path(scratch) / "events.jsonl"
        with path.open("w", encoding="utf-8") as log:
            log.writelines(json.dumps(e) + "\n" for e in itertools.islice(events, n_events))

        def report(found: Progress) -> None:
            tell(int(found.done * STEPS))

        run(EventLog.open([path]), plan, folder, overwrite=True, by=by, report=report)


if __name__ == "__main__":
    build(FOLDER)
