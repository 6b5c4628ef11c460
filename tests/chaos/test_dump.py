"""The dump: what comes back is what was written."""

from pathlib import Path

from tests.chaos.dump import read_evidence, write_evidence
from tests.oracle.evidence import Evidence
from tests.oracle.record import Record

RECORD = Record(3, 17, 1_700_000_000_000, b"\xff", None, (("h", b"\x00"),))
EVIDENCE = Evidence(
    events_topic="events",
    n_partitions=4,
    n_dead_partitions=2,
    n_receipt_partitions=3,
    events=[RECORD],
    changelog=[],
    scores=[RECORD._replace(key=None, value=b"{}")],
    dead=[],
    receipts=[RECORD],
    committed={0: 5},
    ends={0: 5},
    group="shop",
    interruptions=1,
)


def test_evidence_survives_the_way_to_another_process(tmp_path: Path) -> None:
    write_evidence(tmp_path, EVIDENCE)

    assert read_evidence(tmp_path) == EVIDENCE
