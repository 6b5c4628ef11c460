"""Errors: what can go wrong, and who has to act.

LatelyError
├── SettingsError       the operator: a setting makes no sense; exit code 2
├── BrokerError         the operator: Kafka cannot be reached, or denies us access
├── GroupError          the operator: the consumer group refuses this worker; names the setting
├── TopicsError         the operator: topics that do not fit; names the fix
├── StateError          the operator: the state directory cannot be used
│   └── DamagedState    nobody: the partition is wiped, and rebuilt at the next start
├── ScoringError        the model's owner: the scorer broke its contract
├── DeliveryError       the operator: the broker rejected a record; its event is read again
└── FencedError         nobody: the worker rejoins; or the operator: two groups share a topic
    └── OtherGroupError the operator of the other group: the worker rejoins and goes on

A bad message is none of these: it becomes a dead letter (`stream.events`), and the stream goes on.
"""


class LatelyError(Exception):
    """Ends a command with one line on stderr and ``exit_code``."""

    exit_code = 1


class SettingsError(LatelyError):
    """A setting makes no sense: refuse to start."""

    exit_code = 2


class BrokerError(LatelyError):
    """Kafka cannot be reached, or denies us access."""


class GroupError(LatelyError):
    """The consumer group refuses this worker, or has another in its place."""


class TopicsError(LatelyError):
    """Topics that do not fit what the worker guarantees: refuse to start."""


class StateError(LatelyError):
    """The state directory cannot be read or written."""


class DamagedState(StateError):
    """The state of a partition cannot be read; its changelog can rebuild it."""

    def __init__(self, partition: int, cause: Exception) -> None:
        super().__init__(
            f"the state of partition {partition} is damaged ({cause}) and wiped; start the worker "
            "again to rebuild it from the changelog"
        )
        self.partition = partition


class ScoringError(LatelyError):
    """The scorer broke its contract: wrong length, or a probability that is not a number."""


class DeliveryError(LatelyError):
    """The broker did not acknowledge a record: nothing after it may be committed."""


class FencedError(LatelyError):
    """Another producer wrote to a partition of scores or states that we own."""


class OtherGroupError(FencedError):
    """Another group, which has no claim on our scores topic, wrote there."""
