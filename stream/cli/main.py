"""The command `lately`: its start, error line and exit code.

Exit codes: 0 done, 2 bad usage or settings, 1 any other error. An error is one line on stderr.
Imports are late, so that each command loads only what it needs.
"""

import os
import signal
import sys


def main() -> None:
    """Run the command line; raises SystemExit."""
    # Before any slow import: SIGTERM during the start is a normal end.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

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
