"""The schedule: which tests on a real Kafka stay together in one process of ``pytest -n``.

The largest group comes first, and of tests that stand alone those that may take longest.
"""

SECURE = {"test_acl_roles.py", "test_acls.py", "test_security.py"}


def group_of(test_id: str) -> str:
    """Tests of one group share what takes long to make; any other test is a group of its own."""
    path, _, test = test_id.partition("::")
    file = path.rpartition("/")[2]
    if file in SECURE:
        return "the secure broker"
    if file == "test_promises.py":
        return f"the load of seed {test.partition('[')[2]}, and what the model says to it"
    if file == "test_networks.py":
        return "the shop that every network learns from"
    return test_id
