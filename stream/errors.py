"""What can go wrong, and who has to act.

LatelyError
├── SettingsError       the operator: a setting makes no sense; exit code 2
├── BrokerError         the operator: Kafka is not there, or refuses us
├── TopicsError         the operator: topics that do not fit; names the fix
├── StateError          the operator: the state directory cannot be used
│   └── DamagedState    nobody: the partition is wiped, and rebuilt at the next start
├── ScoringError        the model's owner: the scorer broke its contract
├── DeliveryError       the operator: the broker did not take a record; it comes again
└── FencedError         nobody: partitions are taken anew; or who lets two groups share a topic

A bad message is none of these: it becomes a dead letter (`stream.events`), and the stream goes on.
"""


class LatelyError(Exception):
    """Ends a command with one line on stderr and ``exit_code``."""

    exit_code = 1


class SettingsError(LatelyError):
    """A setting makes no sense: refuse to start."""

    exit_code = 2


class BrokerError(LatelyError):
    """Kafka is not there, or refuses us."""


class TopicsError(LatelyError):
    """Topics that do not fit what the worker promises: refuse to start."""


class StateError(LatelyError):
    """The state directory cannot be read or written."""


class DamagedState(StateError):
    """What a partition holds cannot be read; its changelog can rebuild it."""

    def __init__(self, partition: int, cause: Exception) -> None:
        super().__init__(
            f"the state of partition {partition} is damaged ({cause}); it is wiped, start the "
            "worker again and it is rebuilt from the changelog"
        )
        self.partition = partition


class ScoringError(LatelyError):
    """The scorer broke its contract: wrong length, or a probability that is not a number."""


class DeliveryError(LatelyError):
    """The broker did not take a record: nothing after it may be committed."""


class FencedError(LatelyError):
    """Another wrote into a partition, of scores or states, that is ours: one of us is too late."""
