"""The command `lately`: its start, error line and exit code.

Exit codes: 0 done, 2 bad usage or settings, 143 stopped by SIGTERM, 1 any other error. An error is
one line on stderr. A worker ends on SIGTERM in its own way, and with 0.
Imports are late, so that each command loads only what it needs.
"""

import os
import signal
import sys

from stream.cli.termination import unwinding_on_sigterm


def main() -> None:
    """Run the command line; raises SystemExit."""
    if sys.argv[1:2] == ["worker"]:
        # Before any slow import: until it handles the signal itself, there is nothing to stop.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        _run()
    else:
        with unwinding_on_sigterm():
            _run()


def _run() -> None:
    from model.errors import ModelError
    from stream.cli.app import app
    from stream.errors import LatelyError

    try:
        app(prog_name="lately")
    except ModelError as error:
        sys.exit(_print_error(error))
    except LatelyError as error:
        _print_error(error)
        sys.exit(error.exit_code)


def _print_error(error: Exception) -> int:
    print(f"lately: {error}", file=sys.stderr)
    return 1
