"""The command `lately doctor`: looks at everything a worker needs, and says how to mend it."""

import asyncio
import json
import logging

from stream.commands.doctor_broker import look_at_broker
from stream.commands.doctor_machine import Check, check_artifact, check_http, check_state_dir
from stream.settings import DoctorSettings


def doctor(settings: DoctorSettings, *, as_json: bool = False) -> int:
    """Print a line for each thing that was looked at; 1 when one fails, else 0.

    Changes nothing, neither here nor at the broker.
    """
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a line of ours says the same
    checks = [*asyncio.run(_look_at_broker(settings)), *_look_here(settings)]
    failed = any(check.status == "FAIL" for check in checks)
    if as_json:
        print(json.dumps({"fit": not failed, "checks": [check.as_dict() for check in checks]}))
    else:
        print("\n".join(check.line() for check in checks))
    return 1 if failed else 0


async def _look_at_broker(settings: DoctorSettings) -> list[Check]:
    return [check async for check in look_at_broker(settings)]


def _look_here(settings: DoctorSettings) -> list[Check]:
    return [
        check_artifact(settings.artifact),
        *check_state_dir(settings.state_dir, settings.group),
        check_http(settings.http),
    ]
