"""The profiles: settings that runs take turns at, by seed."""

from tests.kafka.worker import Settings

# So that small batches, evictions and pauses have a part in it.
PROFILES: list[Settings] = [
    {},
    {"batch_deadline_ms": "10", "batch_users": "32", "max_in_flight": "8"},
    {"batch_deadline_ms": "50", "cache_users": "60", "max_pending_users": "30"},
    {"batch_deadline_ms": "0", "max_in_flight": "1"},
    {"batch_deadline_ms": "25", "batch_users": "64", "commit_interval_s": "2"},
]
