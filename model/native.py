"""The door to the native core: whether `lately_native` is installed, and why not.

The core is a distribution of its own, in Rust; core/README.md says what it holds. Each of its
parts has a twin in Python, which is the reference and serves where the core is missing.
"""

from model.errors import how_to_install

__all__ = ["AVAILABLE", "REASON", "VERSION", "core"]

VERSION = "0.2.0"  # of the core that this code was written for

try:
    import lately_native as core
except ImportError as error:
    REASON = f"{error}; {how_to_install('native')}"
else:
    found = core.__version__
    REASON = "" if found == VERSION else f"it has version {found}, and {VERSION} is expected"

AVAILABLE = not REASON
