"""``python -m benchmarks`` is the engine benchmark, the one that `make bench` runs."""

import sys

from benchmarks.engine import main

sys.exit(main())
