"""The command `lately doctor`: checks everything a worker needs, and says how to fix it."""

import asyncio
import json

from model.scorer import Vocabulary
from stream.addresses import Address
from stream.command_name import as_typed
from stream.commands.doctor_checks.doctor_broker import check_broker, check_states
from stream.commands.doctor_checks.doctor_events import check_events
from stream.commands.doctor_checks.doctor_machine import (
    Check,
    check_artifact,
    check_core,
    check_http,
    check_state_dir,
)
from stream.kafka.connection_errors import quiet_client
from stream.settings import DoctorSettings


def doctor(settings: DoctorSettings, *, as_json: bool = False) -> int:
    """Print a line for each check; returns 1 if one fails, else 0.

    Changes nothing, neither on this machine nor at the broker.
    """
    with quiet_client():
        artifact, vocabulary = check_artifact(settings.artifact)
        checks = [
            *asyncio.run(_check_broker(settings, vocabulary)),
            artifact,
            check_core(),
            *check_state_dir(settings.state_dir, settings.group),
            check_http(Address.parse(settings.http)),
        ]
    failed = any(check.status == "FAIL" for check in checks)
    if as_json:
        print(json.dumps({"fit": not failed, "checks": [check.as_dict() for check in checks]}))
    else:
        print(as_typed("\n".join(check.line() for check in checks)))
    return 1 if failed else 0


async def _check_broker(settings: DoctorSettings, vocabulary: Vocabulary | None) -> list[Check]:
    checks = [check async for check in check_broker(settings)]
    if not any(check.status == "FAIL" and check.what in ("broker", "topics") for check in checks):
        checks += await check_events(settings, vocabulary)
        checks.append(await check_states(settings))
    return checks
