"""A night on a real Kafka: export, train, evaluate; the better model serves without a restart."""

import json
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from model.artifact.artifact import Artifact
from model.synthetic.shop import Shop
from tests.kafka.artifact import write_older
from tests.kafka.broker import ROOT
from tests.kafka.conftest import OpenStage
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.shell import Shell
from tests.kafka.stage import PARTITIONS
from tests.kafka.test_reload import RELOAD_S, reloads
from tests.oracle.hashing import partition_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

HOUR_MS = 3_600_000
TRAIN = "--network gru --epochs 2 --dim 16 --horizon-s 120 --seed 1 --no-refit"


def of_shop(shop: Shop, hours_ago: int, count: int) -> Iterator[Message]:
    """So many events of the shop, a second apart, from then on."""
    start_ms = time.time_ns() // 1_000_000 - hours_ago * HOUR_MS
    for event in islice(shop.events(60, start_ms, events_per_s=1.0), count):
        key = event["user_id"].encode()
        yield Message(partition_of(key, PARTITIONS), event["ts"], key, json.dumps(event).encode())


def test_a_model_of_this_shop_takes_over_from_one_of_another(
    open_stage: OpenStage, artifact: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    models.mkdir()
    write_older(artifact, models / "before")
    (models / "serving").symlink_to("before")
    stage = open_stage({"artifact_poll_s": "0.2"})
    stage.artifact = models / "serving"
    shop = Shop(seed=4, n_items=60, n_categories=6)
    stage.feed([*of_shop(shop, hours_ago=60, count=1_500), *of_shop(shop, hours_ago=6, count=300)])
    worker = stage.start().wait_ready()
    settings = {**stage.settings, "bootstrap": stage.client.bootstrap}
    shell = Shell(tmp_path, settings, OMP_NUM_THREADS="1")

    said = shell.do(f"{ROOT}/deploy/nightly.sh models {TRAIN}")

    assert "that of the model before it" in said
    name = (models / "serving").readlink().name
    assert sorted(path.name for path in models.iterdir()) == sorted([name, "before", "serving"])
    served = Artifact.open(models / "serving")
    assert served.config.name == name
    assert served.manifest.data["rows"] == 1_500  # not those of the newest day
    assert wait_until(lambda: reloads(worker, "ok") == 1, RELOAD_S), worker.tail()
    assert f'name="{name}"' in worker.text("/metrics")
    worker.stop()
