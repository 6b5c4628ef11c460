"""Writes down which functions of ``stream/`` this process runs; Python imports it at its start.

Its folder stands in ``PYTHONPATH`` while the tests that reach a function are found, so that the
processes which a test starts are traced as well.
"""

import os
import sys
import threading
from types import CodeType, FrameType

# Not named as settings are: the demo takes those out of the environment of its worker.
FOLDER = os.environ["TRACED_FOLDER"]
FILE = os.open(os.environ["TRACED_TO"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
# By identity, as a code object is slow to hash; it is kept, or its identity might be given again.
seen: dict[int, CodeType] = {}


def _trace(frame: FrameType, event: str, argument: object) -> None:
    code = frame.f_code
    if id(code) not in seen:
        seen[id(code)] = code
        if code.co_filename.startswith(FOLDER):
            line = 0 if code.co_name == "<module>" else code.co_firstlineno
            # At once: a process that is killed writes nothing at its end.
            os.write(FILE, f"{code.co_filename}:{line}\n".encode())


sys.settrace(_trace)
threading.settrace(_trace)
