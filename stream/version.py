"""The version of Lately, as it is installed."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("lately")
except PackageNotFoundError:  # run from a folder that was never installed
    VERSION = "unknown"
