"""The worker's process: how it starts, and the exit code and line with which it ends."""

import asyncio
import gc
import logging
import os
import sys
from functools import partial
from typing import Any, Literal, NoReturn

import structlog

from model.errors import ModelError
from stream import failpoints
from stream.command_name import as_typed
from stream.errors import LatelyError
from stream.kafka.connection_errors import AUTHORIZATION_ERRORS, authorization_message
from stream.logs import write_line
from stream.redaction import describe, location
from stream.settings import WorkerSettings
from stream.worker.memory import limit_arenas
from stream.worker.wiring import Wiring
from stream.worker.worker import Worker

_log = structlog.get_logger(__name__)


def run(settings: WorkerSettings) -> NoReturn:
    """Run a worker until it is stopped, and end the process with its exit code."""
    limit_arenas()
    asyncio.run(_run(settings))
    raise AssertionError("the process has ended by now")


async def _run(settings: WorkerSettings) -> None:
    # User states live long and hold no reference cycles: Python would search all of them for
    # garbage every few hundred objects, and find none. What is imported lives for ever.
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    gc.enable()
    asyncio.get_running_loop().set_exception_handler(_on_lost_exception)
    end = partial(_end, settings.log_format)
    try:
        failpoints.arm(os.environ)
        await Worker(Wiring(settings), settings.drain_timeout_s).run()
    except LatelyError as error:
        end(error.exit_code, str(error))
    except ModelError as error:
        end(1, str(error))
    except AUTHORIZATION_ERRORS as error:
        end(1, authorization_message(error))
    except Exception as error:  # noqa: BLE001 - any error ends the worker in one line
        _log.debug("the worker failed", exc_info=error)
        end(1, f"{describe(error)} at {location(error)}; this is a defect, see --log-level debug")
    end(0)


def _on_lost_exception(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # asyncio's own line shows the exception's text, which may name a user.
    _log.error("nobody awaited a task that failed", exc_info=context.get("exception"))


def _end(log_format: Literal["plain", "json"], code: int, line: str = "") -> NoReturn:
    """End now: everything safe is committed, and no library's thread may delay the exit."""
    if line:
        write_line(as_typed(line), "critical", log_format)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
