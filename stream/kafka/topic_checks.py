"""The checks of our topics: what they must be like; asks no broker."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

from stream.settings import KafkaSettings, LengthSettings
from stream.user_categories import MOST_NAMES

# A dead letter is its message plus our headers: topic name, class and text of the error, reason.
DEAD_LETTER_HEADROOM_BYTES = 8192
MAX_BATCH_BYTES = 1_000_000  # of records that we send; below Kafka's own limit
MIN_BATCH_BYTES = 131_072  # one score, or a state of the usual length, with the longest ids in it
KAFKAS_LIMIT_BYTES = 1_048_588  # unless a topic or broker says otherwise
LARGEST_ACTION_BYTES = 1_040  # in a state: an id of 256 characters of four bytes, and a time
LARGEST_CATEGORY_BYTES = 1_028  # 256 characters as well, and an index
_SAFE_SHARE = 31 / 32  # of a topic's limit: what does not compress grows a little
DEFAULT_TOMBSTONES_MS = 24 * 3_600_000  # Kafka's default of delete.retention.ms

Status = Literal["PASS", "WARN", "FAIL", "SKIP"]
Checked = (
    Literal["exists", "partitions", "cleanup.policy", "max.message.bytes", "min.insync.replicas"]
    | Literal["keys", "offsets", "owner", "members", "states"]
)


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as a broker describes it; None for what it does not report."""

    partitions: int
    cleanup_policy: str | None = None
    max_message_bytes: int | None = None
    delete_retention_ms: int | None = None  # how long tombstones outlive a compaction
    replicas: int | None = None  # of the partition with the fewest
    min_insync_replicas: int | None = None  # without so many nothing is acknowledged


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check of one topic; ``fix`` is what to do, empty for PASS and SKIP.

    FAIL: a guarantee cannot be kept, and the worker does not start. WARN: it starts, and logs it.
    """

    status: Status
    topic: str
    check: Checked
    found: str
    expected: str
    fix: str = ""

    def __str__(self) -> str:
        text = f"{self.topic}: {self.check}: found {self.found}, expected {self.expected}"
        return f"{text}; {self.fix}" if self.fix else text

    def as_dict(self) -> dict[str, str]:
        """The fields, for JSON."""
        return asdict(self)


def assess(settings: KafkaSettings, topics: Mapping[str, Topic]) -> list[Finding]:
    """Check the topics of these settings; ``topics`` are those on the broker, by name.

    Events, scores and changelog need the same number of partitions, since a user's event, state
    and score are in partitions of the same number. The latest score and state of a user are kept
    forever (``compact``). Each event, dead letter and receipt counts, so they are not compacted.
    """
    findings = [_exists(name, topics, settings) for name in settings.topics]
    for name in (settings.scores_topic, settings.changelog_topic):
        findings += _partitions(name, topics, settings)
    findings += _policy(settings.events_topic, topics, settings, {"delete"})
    findings += _policy(settings.scores_topic, topics, settings, {"compact", "compact,delete"})
    findings += _policy(settings.changelog_topic, topics, settings, {"compact"})
    findings += _policy(settings.dead_topic, topics, settings, {"delete"})
    findings += _policy(settings.receipts_topic, topics, settings, {"delete"})
    findings += _dead_letters_fit(topics, settings)
    for name in (settings.scores_topic, settings.changelog_topic, settings.receipts_topic):
        findings += _batches_fit(name, topics, settings)
    for name in settings.topics:
        if name != settings.events_topic:  # which we only read
            findings += _replicas_suffice(name, topics, settings)
    return findings


def exists(topic: str, findings: Iterable[Finding]) -> bool:
    """Whether the findings say that the topic exists."""
    return any(
        finding.topic == topic and finding.check == "exists" and finding.status == "PASS"
        for finding in findings
    )


def _exists(name: str, topics: Mapping[str, Topic], settings: KafkaSettings) -> Finding:
    if name in topics:
        return Finding("PASS", name, "exists", f"{topics[name].partitions} partitions", "a topic")
    if name == settings.changelog_topic:
        return Finding("SKIP", name, "exists", "none yet", "the worker to create it")
    # A broker hides the topics that we have no rights on.
    fix = (
        "run `lately topics --create` with the same settings, or grant us access to it: "
        "deploy/kafka/acls.sh"
    )
    return Finding("FAIL", name, "exists", "no such topic", "a topic", fix)


def _partitions(name: str, topics: Mapping[str, Topic], settings: KafkaSettings) -> list[Finding]:
    if name not in topics or settings.events_topic not in topics:
        return []
    expected = topics[settings.events_topic].partitions
    found = topics[name].partitions
    status: Status = "PASS" if found == expected else "FAIL"
    lost = "the state" if name == settings.changelog_topic else "its records"
    # Adding partitions instead would leave old keys where nobody looks for them.
    fix = (
        f"delete and create it, {lost} will be lost: `kafka-topics.sh --bootstrap-server "
        f"{settings.bootstrap} --delete --topic {name}`, then `lately topics --create`"
    )
    return [
        Finding(
            status,
            name,
            "partitions",
            str(found),
            f"{expected} as {settings.events_topic} has",
            fix if status == "FAIL" else "",
        )
    ]


def _policy(
    name: str, topics: Mapping[str, Topic], settings: KafkaSettings, accepted: set[str]
) -> list[Finding]:
    if name not in topics:
        return []
    expected = " or ".join(sorted(accepted))
    found = topics[name].cleanup_policy
    if found is None:
        return [Finding("SKIP", name, "cleanup.policy", "not reported by the broker", expected)]
    if ",".join(sorted(part.strip() for part in found.split(","))) in accepted:
        return [Finding("PASS", name, "cleanup.policy", found, expected)]
    fix = _alter(settings, name, f"cleanup.policy={min(accepted)}")
    return [Finding("FAIL", name, "cleanup.policy", found, expected, fix)]


def _dead_letters_fit(topics: Mapping[str, Topic], settings: KafkaSettings) -> list[Finding]:
    name = settings.dead_topic
    if name not in topics or settings.events_topic not in topics:
        return []
    largest_event = topics[settings.events_topic].max_message_bytes
    found = topics[name].max_message_bytes
    if largest_event is None or found is None:
        return [
            Finding(
                "SKIP",
                name,
                "max.message.bytes",
                "not reported by the broker",
                f"that of {settings.events_topic} + {DEAD_LETTER_HEADROOM_BYTES}",
            )
        ]
    needed = largest_event + DEAD_LETTER_HEADROOM_BYTES
    expected = f"{needed} or more, so that every event fits with our headers"
    if found >= needed:
        return [Finding("PASS", name, "max.message.bytes", str(found), expected)]
    fix = _alter(settings, name, f"max.message.bytes={needed}")
    return [Finding("WARN", name, "max.message.bytes", str(found), expected, fix)]


def batch_bytes(topics: Iterable[Topic]) -> int:
    """How large a batch may be that each of these topics takes."""
    limits = [topic.max_message_bytes for topic in topics]
    return min([MAX_BATCH_BYTES, *(int(n * _SAFE_SHARE) for n in limits if n is not None)])


def _batches_fit(name: str, topics: Mapping[str, Topic], settings: KafkaSettings) -> list[Finding]:
    limit = topics[name].max_message_bytes if name in topics else None
    if limit is None:  # then `_dead_letters_fit` says that the broker reports none
        return []
    expected = f"{MAX_BATCH_BYTES} or more, so that batches need not be cut"
    least = largest_record_bytes(name, settings)
    if limit * _SAFE_SHARE >= MAX_BATCH_BYTES and limit >= least:
        return [Finding("PASS", name, "max.message.bytes", str(limit), expected)]
    status: Status = "WARN" if limit >= least else "FAIL"
    if status == "FAIL":
        expected = f"{least} or more, so that the largest record fits"
    fix = _alter(settings, name, f"max.message.bytes={max(least, KAFKAS_LIMIT_BYTES)}")
    return [Finding(status, name, "max.message.bytes", str(limit), expected, fix)]


def largest_record_bytes(name: str, settings: KafkaSettings) -> int:
    """What one record can come to: a shopper chooses how long the ids in their state are."""
    if name != settings.changelog_topic or not isinstance(settings, LengthSettings):
        return MIN_BATCH_BYTES
    length = settings.sequence_length
    categories = min(length, MOST_NAMES) * LARGEST_CATEGORY_BYTES
    return max(MIN_BATCH_BYTES, length * LARGEST_ACTION_BYTES + categories)


def _replicas_suffice(
    name: str, topics: Mapping[str, Topic], settings: KafkaSettings
) -> list[Finding]:
    """A topic that can never acknowledge what we write, as no broker says before that."""
    topic = topics.get(name)
    if topic is None or topic.replicas is None or topic.min_insync_replicas is None:
        return []
    if topic.min_insync_replicas <= topic.replicas:
        return []
    found = f"{topic.min_insync_replicas} of {topic.replicas} replicas"
    expected = "no more than there are, or no write is ever acknowledged"
    fix = _alter(settings, name, f"min.insync.replicas={topic.replicas}")
    return [Finding("FAIL", name, "min.insync.replicas", found, expected, fix)]


def _alter(settings: KafkaSettings, name: str, config: str) -> str:
    return (
        f"run `kafka-configs.sh --bootstrap-server {settings.bootstrap} --alter "
        f"--entity-type topics --entity-name {name} --add-config {config}`"
    )
