"""The verdict: all checks over one run's evidence, and a report a person can act on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain

from tests.oracle.answers import Answers, by_version
from tests.oracle.dead_check import check_dead_letters
from tests.oracle.evidence import Difference, Evidence
from tests.oracle.expiry import by_user, too_early
from tests.oracle.ledger import keep
from tests.oracle.receipt_check import check_receipts
from tests.oracle.rules import DEFAULT_RULES, Rules
from tests.oracle.score_check import check_scores
from tests.oracle.state_check import check_state

SHOWN = 3


def examine(
    evidence: Evidence, answers: Answers | Sequence[Answers], rules: Rules = DEFAULT_RULES
) -> list[Difference]:
    """Every difference between what is there and what should be; empty when all is right.

    Where several models served, ``answers`` are those of each: a score must be that of the one
    whose version it names.
    """
    expired = by_user(evidence.changelog)
    ledger = keep(evidence.events, evidence.n_partitions, rules, expired)
    return list(
        chain(
            check_commits(evidence),
            check_expiry(evidence, rules),
            check_state(evidence, ledger),
            check_scores(evidence, ledger, by_version(answers), may_degrade=rules.sheds),
            check_dead_letters(evidence, ledger),
            check_receipts(evidence, ledger),
        )
    )


def check_commits(evidence: Evidence) -> Iterator[Difference]:
    """O5: once all is quiet, the group has committed the end of every partition."""
    for partition, end in evidence.ends.items():
        committed = evidence.committed.get(partition)
        if (committed or 0) != end:
            yield Difference("O5 commits", f"partition {partition}", committed, end)


def check_expiry(evidence: Evidence, rules: Rules) -> Iterator[Difference]:
    """Nobody expires before their time to live is over."""
    early = too_early(evidence.events, evidence.changelog, evidence.n_partitions, rules)
    for expiry, left_ms in early:
        where = f"user {expiry.user[1]!r} of partition {expiry.user[0]}, offset {expiry.offset}"
        yield Difference("O1 state", where, "expired", f"{left_ms} ms to live")


def report(differences: list[Difference]) -> str:
    """How many of each kind, then the first few in full."""
    counts = Counter(difference.check for difference in differences)
    head = ", ".join(f"{n} × {check}" for check, n in counts.items())
    firsts = list({difference.check: difference for difference in reversed(differences)}.values())
    shown = [str(difference) for difference in reversed(firsts)][:SHOWN]
    return "\n".join([f"{len(differences)} differences ({head}); the first of each:", *shown])
