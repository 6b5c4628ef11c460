"""Records which functions of ``stream/`` this process runs; Python imports it when it starts.

Its folder is in ``PYTHONPATH`` while test files are traced, so that the processes that a test
starts are traced as well.
"""

import os
import sys
import threading
from types import CodeType, FrameType

# Without the prefix LATELY_: the demo removes such names from its worker's environment.
FOLDER = os.environ["TRACED_FOLDER"]
FILE = os.open(os.environ["TRACED_TO"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
# By id(), since hashing a code object is slow; the object is kept so that its id is not reused.
seen: dict[int, CodeType] = {}


def _trace(frame: FrameType, event: str, argument: object) -> None:
    code = frame.f_code
    if id(code) not in seen:
        seen[id(code)] = code
        if code.co_filename.startswith(FOLDER):
            line = 0 if code.co_name == "<module>" else code.co_firstlineno
            # Unbuffered: a process that is killed flushes nothing.
            os.write(FILE, f"{code.co_filename}:{line}\n".encode())


sys.settrace(_trace)
threading.settrace(_trace)
