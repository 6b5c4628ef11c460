"""The command `lately`: how it starts, and how it ends.

Exit codes: 0 done, 2 bad usage or settings, 1 anything else. What goes wrong is one line on
stderr. Imports are late, so that each command loads only what it needs.
"""

import os
import signal
import sys


def main() -> None:
    """Run the command line; raises SystemExit."""
    # Before anything that takes long to import: SIGTERM in the first moments is a normal end.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

    from model.errors import ModelError
    from stream.cli.app import app
    from stream.errors import LatelyError

    try:
        app(prog_name="lately")
    except ModelError as error:
        sys.exit(_say(error))
    except LatelyError as error:
        _say(error)
        sys.exit(error.exit_code)


def _say(error: Exception) -> int:
    print(f"lately: {error}", file=sys.stderr)
    return 1
