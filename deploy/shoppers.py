"""Writes an hour of the synthetic shop to stdout, the log that the compose profile replays."""

import json
import sys
from itertools import islice

from model.synthetic.shop import Shop

SEED = 1  # the shop that the demo's model was trained on
SHOPPERS = 2_000
EVENTS_PER_S = 20.0
START_MS = 1_600_000_000_000  # a valid time; `lately replay --now` moves it to the present
EVENTS = int(3600 * EVENTS_PER_S)


def main() -> None:
    """Write one event per line, from ``START_MS`` on."""
    events = Shop(SEED).events(SHOPPERS, start_ms=START_MS, events_per_s=EVENTS_PER_S)
    for event in islice(events, EVENTS):
        sys.stdout.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main()
