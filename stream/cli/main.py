"""The command `lately`: its start, error line and exit code.

Exit codes: 0 done, 2 bad usage or settings, 129, 130 and 143 stopped by SIGHUP (a terminal that is
closed), Ctrl-C and SIGTERM, 1 any other error. An error is one line on stderr, in JSON if a worker
logs JSON. A worker ends on Ctrl-C and SIGTERM in its own way, with 0, and reloads on SIGHUP.
Imports are late, so that each command loads only what it needs.
"""

import gc
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from stream.cli.console import print_every_character
from stream.cli.termination import exit_code, unwinding_on_signals


def main() -> None:
    """Run the command line; raises SystemExit."""
    print_every_character()
    if sys.argv[1:2] == ["worker"]:
        # Before any slow import: until it handles the signals itself, there is nothing to stop, and
        # the model that it is about to load is the newest.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: os._exit(0))
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _make_imports_fast()
        _run()
    else:
        with unwinding_on_signals():
            _run()


def _make_imports_fast() -> None:
    """Save a third of a second of a worker's start; `stream.worker.process` collects again."""
    gc.disable()  # imports make objects without end, and no garbage
    # structlog imports it, where it is installed, for tracebacks that a worker writes itself.
    modules: dict[str, Any] = sys.modules
    modules["rich"] = None


def _run() -> None:
    try:
        _run_command()
    except KeyboardInterrupt:  # where Typer does not see it: during the imports
        sys.exit(exit_code(signal.SIGINT))


def _run_command() -> None:
    from typer.exceptions import Abort, TyperException

    from model.errors import ModelError
    from stream.cli.app import app
    from stream.errors import LatelyError

    as_json = logs_json(sys.argv[1:], os.environ)
    try:
        # Typer prints its own errors, with the usage, but not as JSON.
        sys.exit(app(prog_name="lately", standalone_mode=not as_json))
    except TyperException as error:
        _print_error(error.format_message(), as_json)
        sys.exit(error.exit_code)
    except Abort:
        sys.exit(1)
    except ModelError as error:
        _print_error(str(error), as_json)
        sys.exit(1)
    except LatelyError as error:
        _print_error(str(error), as_json)
        sys.exit(error.exit_code)


def logs_json(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether this is a worker that logs JSON, even if its settings cannot be loaded."""
    if arguments[:1] != ["worker"]:
        return False
    log_format = environment.get("LATELY_LOG_FORMAT", "").strip()
    for flag, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if flag == "--log-format":
            log_format = value
        elif flag.startswith("--log-format="):
            log_format = flag.partition("=")[2]
    return log_format == "json"


def _print_error(error_text: str, as_json: bool) -> None:
    from stream.command_name import as_typed

    text = as_typed(error_text)
    if as_json:
        from stream.logs import write_line

        write_line(text, "critical", "json")
    else:
        from model.printable import printable

        print(f"lately: {printable(text)}", file=sys.stderr)
