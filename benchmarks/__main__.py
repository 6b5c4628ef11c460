"""Runs the engine benchmark: ``python -m benchmarks``, as `make bench` does."""

import sys

from benchmarks.engine import main

sys.exit(main())
