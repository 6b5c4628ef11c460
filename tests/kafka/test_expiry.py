"""A user whose time to live is over leaves Kafka and disk, and no rebuild brings them back."""

import shutil
from pathlib import Path

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.conftest import OpenStage
from tests.kafka.process import wait_until
from tests.kafka.test_failures import NOW_MS, click
from tests.kafka.test_late_records import USER, other_of, records_of
from tests.oracle.answers import Answers
from tests.oracle.rules import Rules
from tests.oracle.value import decode
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

TTL_S = 60


def test_who_expired_stays_away_until_they_act_again(
    open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage({"ttl_s": str(TTL_S)})
    worker = stage.start()
    first = click(USER, item)
    # By event time the user is gone when this one acts, in the same partition.
    stage.feed([first, click(other_of(first.partition), item, NOW_MS + TTL_S * 1000 + 1)])

    def gone() -> bool:
        last = [records_of(stage, topic)[-1:] for topic in (stage.scores, stage.changelog)]
        return all(records and records[0].value is None for records in last)

    assert wait_until(gone, 90.0), worker.tail()
    assert "lately_expired_users_total 1.0" in worker.text("/metrics")
    worker.kill()
    shutil.rmtree(worker.state_dir)

    worker = stage.start().wait_ready()  # rebuilt from the changelog
    stage.feed([click(USER, item, NOW_MS + 1)])
    stage.wait_committed()
    worker.stop()

    back = records_of(stage, stage.changelog)[-1]
    assert back.value is not None and len(decode(back.value).actions) == 1
    differences = examine(stage.evidence(), answers, Rules(ttl_ms=TTL_S * 1000))
    assert not differences, report(differences)
