"""An hour of the made shop, as an event log on stdout: what the compose profile `demo` replays."""

import json
import sys
from itertools import islice

from model.synthetic.shop import Shop

SEED = 1  # the shop that the demo's model knows
SHOPPERS = 2_000
EVENTS_PER_S = 20.0
EVENTS = int(3600 * EVENTS_PER_S)


def main() -> None:
    """Write one event a line; the times start at 0, for `lately replay --now` moves them."""
    events = Shop(SEED).events(SHOPPERS, start_ms=0, events_per_s=EVENTS_PER_S)
    for event in islice(events, EVENTS):
        sys.stdout.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main()
