"""What befalls the topics: a changelog that is cut, partitions that do not match."""

import shutil

from tests.chaos.faults.fault import fault
from tests.chaos.run import Run


@fault()
def changelog_truncated(run: Run) -> None:
    """All of the changelog is deleted under a worker that has its state on disk."""
    run.start().wait_ready()
    run.feed(2_000)
    run.stage.wait_quiet()
    run.kill()
    client, changelog = run.cluster.client, run.stage.changelog
    run.kept_changelog = client.read(changelog)
    client.alter_topic(changelog, cleanup_policy="compact,delete")  # else Kafka deletes nothing
    client.delete_records(changelog, client.ends(changelog))
    client.alter_topic(changelog, cleanup_policy="compact")
    run.say("the changelog is emptied")
    run.healed()


@fault()
def partition_mismatch(run: Run) -> None:
    """The scores topic has another number of partitions: the worker refuses to start."""
    other = f"{run.stage.scores}.other"
    run.cluster.client.create_topic(other, 3)
    run.feed(500)
    run.refuses(run.start(scores_topic=other), "partitions")
    run.cluster.client.delete_topics(other)
    assert not run.cluster.client.committed(run.stage.group, run.stage.events)
    shutil.rmtree(run.folder / "state-a", ignore_errors=True)
    run.healed()
