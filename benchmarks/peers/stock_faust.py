"""The job on stock Faust: decode, keep the user's last 50 actions in a table, write one output.

Run as ``python -m benchmarks.stock_faust BOOTSTRAP SOURCE OUTPUT GROUP STATE_DIR PARTITIONS``.
"""

import sys

import faust

ACTIONS_KEPT = 50


def make_app(
    bootstrap: str, source: str, output: str, group: str, state_dir: str, partitions: int
) -> faust.App:
    """The agent as in Faust's manual; only the commit interval is set, to that of the others."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        store="rocksdb://",
        datadir=state_dir,
        topic_partitions=partitions,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        broker_commit_interval=1.0,
    )
    events = app.topic(source, key_type=str, value_serializer="json")
    scores = app.topic(output, key_type=str, value_serializer="json")
    recent = app.Table("recent", default=list, partitions=partitions)

    @app.agent(events)
    async def score(stream: faust.StreamT[dict[str, object]]) -> None:
        async for user_id, event in stream.items():
            actions = recent[user_id]
            actions.append([event["item_id"], event["action"], event["ts"]])
            recent[user_id] = actions[-ACTIONS_KEPT:]
            last = {"user_id": user_id, "ts": event["ts"], "n_events": len(actions), "items": []}
            await scores.send(key=user_id, value=last)

    return app


if __name__ == "__main__":
    bootstrap, source, output, group, state_dir, partitions = sys.argv[1:]
    application = make_app(bootstrap, source, output, group, state_dir, int(partitions))
    # Quiet, as the spinner of a worker with output sets all loggers to debug: 13 % slower.
    sys.argv[1:] = ["--quiet", "worker", "--loglevel", "error", "--without-web"]
    application.main()
