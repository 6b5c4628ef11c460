"""The examiner: the oracle in a process of its own; ``python -m tests.chaos.examiner FOLDER``.

Reads what a run left there, and prints a JSON object: differences by check, and the first of each.
"""

import json
import sys
from collections import Counter
from pathlib import Path

from model.serving import load_scorer
from tests.chaos.dump import read_evidence
from tests.oracle.answers import Answers
from tests.oracle.verdict import examine, report


def main(folder: Path, artifact: Path) -> None:
    """Examine one run."""
    differences = examine(read_evidence(folder), Answers(load_scorer(artifact)))
    counts = Counter(difference.check[:2] for difference in differences)
    first = report(differences) if differences else ""
    print(json.dumps({"differences": counts, "first": first}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
