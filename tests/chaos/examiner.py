"""The examiner: the oracle as a process, ``python -m tests.chaos.examiner FOLDER MODEL…``.

Reads what a run left there, and prints a JSON object: differences by check, and the first of each.
"""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from model.serving import load_scorer
from tests.chaos.dump import read_evidence
from tests.oracle.answers import Answers
from tests.oracle.verdict import examine, report


def main(folder: Path, artifacts: Sequence[Path]) -> None:
    """Examine one run, in which each of these models may have served."""
    models = [Answers(load_scorer(artifact)) for artifact in artifacts]
    differences = examine(read_evidence(folder), models)
    counts = Counter(difference.check[:2] for difference in differences)
    first = report(differences) if differences else ""
    print(json.dumps({"differences": counts, "first": first}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
