"""The image and the compose file: accepted by their linters, closed to the network, true to us."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy import shoppers
from stream.demo.demo import SHOP_SEED
from stream.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
OURS = [name for name, service in COMPOSE["services"].items() if "build" in service]


def our_variables(service: dict[str, Any]) -> set[str]:
    return {name for name in service.get("environment", {}) if name.startswith("LATELY_")}


@pytest.mark.parametrize(
    "command",
    [
        ("hadolint", "Dockerfile"),
        ("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml"),
        ("yamllint", "--strict", "."),
    ],
    ids=lambda command: command[0],
)
def test_the_linter_has_nothing_to_say(command: tuple[str, ...]) -> None:
    result = subprocess.run(
        [BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_every_variable_we_set_is_a_setting() -> None:
    known = {f"LATELY_{name.upper()}" for name in WorkerSettings.model_fields}
    in_compose = {name for service in OURS for name in our_variables(COMPOSE["services"][service])}
    in_image = set(re.findall(r"^\s+(LATELY_\w+)=|^ENV (LATELY_\w+)=", DOCKERFILE, re.MULTILINE))

    assert in_compose <= known
    assert {one or other for one, other in in_image} <= known


def test_every_port_is_bound_to_loopback() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]

    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_no_rights_they_do_not_need(name: str) -> None:
    service = COMPOSE["services"][name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_runs_as_a_numbered_user_who_is_not_root() -> None:
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)

    assert int(user) > 0


def test_no_image_is_taken_at_its_latest() -> None:
    images = [service["image"] for service in COMPOSE["services"].values()]

    assert all(re.search(r":(local|v?\d+\.\d+\.\d+)$", image) for image in images)


def test_the_worker_starts_when_its_topics_are_there() -> None:
    depends = COMPOSE["services"]["worker"]["depends_on"]

    assert depends == {"topics": {"condition": "service_completed_successfully"}}


def test_every_file_that_is_mounted_is_in_the_tree() -> None:
    mounts = [
        str(volume).split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
        if str(volume).startswith("./")
    ]

    assert mounts
    assert [mount for mount in mounts if not (ROOT / mount).exists()] == []


def test_the_shoppers_of_the_demo_profile_shop_where_the_demo_model_was_trained() -> None:
    assert shoppers.SEED == SHOP_SEED


def test_the_shoppers_of_the_demo_profile_send_events_of_the_contract(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shoppers, "EVENTS", 500)
    schema = json.loads((ROOT / "stream" / "schemas" / "event.schema.json").read_text())

    shoppers.main()

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(events) == 500
    for event in events:
        jsonschema.validate(event, schema)
