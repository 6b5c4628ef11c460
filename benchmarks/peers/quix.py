"""The job on Quix Streams: decode, keep the user's last 50 actions in state, write one output.

Run as ``python -m benchmarks.peers.quix BOOTSTRAP SOURCE OUTPUT GROUP STATE_DIR PARTITIONS``; the
number of partitions is taken from the source.
"""

import sys
from typing import Any

from quixstreams import Application, State

from benchmarks.peers import compact

KEY = "actions"


def score(event: dict[str, Any], state: State[str, Any]) -> dict[str, Any]:
    """Append the event to the user's actions and return the output record."""
    before = state.get_bytes(KEY)
    after = compact.append(before, event["item_id"], event["action"], event["ts"])
    state.set_bytes(KEY, after)
    return {"user_id": event["user_id"], "ts": event["ts"], "n_events": after[0], "items": []}


def make_app(bootstrap: str, source: str, output: str, group: str, state_dir: str) -> Application:
    """The pipeline as in Quix's manual; at least once, with the commit interval of the others."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        processing_guarantee="at-least-once",
        commit_interval=1.0,
        state_dir=state_dir,
        loglevel="ERROR",
        producer_extra_config={"linger.ms": 100, "acks": "all"},
    )
    events = app.topic(source, key_deserializer="str", value_deserializer="json")
    scores = app.topic(output, key_serializer="str", value_serializer="json")
    app.dataframe(events).apply(score, stateful=True).to_topic(scores)
    return app


if __name__ == "__main__":
    make_app(*sys.argv[1:6]).run()
