"""The job on Bytewax: decode, keep the user's last 50 actions in state, write one output.

Run as ``python -m benchmarks.peers.bytewax BOOTSTRAP SOURCE OUTPUT GROUP STATE_DIR PARTITIONS``,
in the environment of `make bytewax`. The offsets are in its snapshots, one a second, and not in a
consumer group.
"""

import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TypeAlias

import bytewax.operators as op
import orjson
from bytewax._bytewax import cli_main
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir

from benchmarks.peers import compact

BATCH = 5_000

Message: TypeAlias = KafkaSourceMessage[bytes, bytes]
Output: TypeAlias = KafkaSinkMessage[bytes, bytes]


class LastActions(op.StatefulBatchLogic[Message, Output, bytes]):  # type: ignore[misc]  # typed where it is
    """The actions of one user."""

    def __init__(self, state: bytes | None) -> None:
        self._state = state

    def on_batch(self, values: list[Message]) -> tuple[Iterable[Output], bool]:
        """Append the events of a batch; one output for each."""
        return [self._append(message) for message in values], op.StatefulBatchLogic.RETAIN

    def _append(self, message: Message) -> Output:
        event = orjson.loads(message.value)
        ts_ms = event["ts"]
        state = compact.append(self._state, event["item_id"], event["action"], ts_ms)
        output = {"user_id": event["user_id"], "ts": ts_ms, "n_events": state[0], "items": []}
        self._state = state
        return KafkaSinkMessage(message.key, orjson.dumps(output))

    def snapshot(self) -> bytes | None:
        """What a restart continues from."""
        return self._state


def make_flow(bootstrap: str, source: str, output: str) -> Dataflow:
    """The dataflow as in its manual, with larger batches."""
    flow = Dataflow("last_actions")
    reading = KafkaSource([bootstrap], [source], batch_size=BATCH)
    events = op.input("events", flow, reading)
    keyed = op.key_on("user", events, lambda message: message.key.decode())
    scores = op.stateful_batch("append", keyed, LastActions)
    writing = KafkaSink([bootstrap], output, add_config={"linger.ms": "100", "acks": "all"})
    op.output("scores", op.key_rm("outputs", scores), writing)
    return flow


if __name__ == "__main__":
    bootstrap, source, output, _, state_dir, _ = sys.argv[1:]
    if not list(Path(state_dir).glob("part-*")):
        init_db_dir(state_dir, 1)
    cli_main(
        make_flow(bootstrap, source, output),
        epoch_interval=timedelta(seconds=1),
        recovery_config=RecoveryConfig(state_dir),
    )
