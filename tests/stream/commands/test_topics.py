"""The command shows what fits, and creates what is missing only when asked to."""

import json
from collections.abc import Iterator

import pytest

from stream.commands.topics import topics
from stream.demo.embedded_broker import EmbeddedBroker
from stream.errors import SettingsError
from stream.settings import KafkaSettings


@pytest.fixture
def settings() -> Iterator[KafkaSettings]:
    with EmbeddedBroker() as broker:
        yield KafkaSettings(bootstrap=broker.bootstrap)


def test_the_command_fails_then_creates_then_passes(
    settings: KafkaSettings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert topics(settings) == 1
    assert "FAIL  lately.events           exists  no such topic" in capsys.readouterr().out

    assert topics(settings, create_missing=True, partitions=2) == 0
    assert "created lately.scores\n" in capsys.readouterr().out

    assert topics(settings, as_json=True) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["fit"], answer["created"]) == (True, [])
    assert {"PASS", "SKIP"} == {finding["status"] for finding in answer["findings"]}


def test_partitions_without_create_make_no_sense() -> None:
    with pytest.raises(SettingsError, match="--partitions: nothing is created without --create"):
        topics(KafkaSettings(), partitions=4)
