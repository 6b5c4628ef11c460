"""The faults of topics, and the command that fixes each; no broker is asked."""

from dataclasses import replace

import pytest

from stream.kafka.topic_checks import (
    LARGEST_ACTION_BYTES,
    LARGEST_CATEGORY_BYTES,
    MAX_BATCH_BYTES,
    MIN_BATCH_BYTES,
    Finding,
    Topic,
    assess,
    batch_bytes,
)
from stream.settings import KafkaSettings, WorkerSettings
from stream.user_state import Rules, UserState
from tests.stream.fakes import NOW_MS, event

SETTINGS = KafkaSettings(bootstrap="kafka:9092")
EVENT_BYTES = 1_048_588


def fitting() -> dict[str, Topic]:
    return {
        "lately.events": Topic(4, "delete", EVENT_BYTES),
        "lately.scores": Topic(4, "compact", EVENT_BYTES),
        "lately.events.dead": Topic(1, "delete", EVENT_BYTES + 8192),
        "lately.receipts": Topic(2, "delete", EVENT_BYTES),
        "lately-state-changelog": Topic(4, "compact", EVENT_BYTES),
    }


def failures(topics: dict[str, Topic]) -> list[Finding]:
    return [finding for finding in assess(SETTINGS, topics) if finding.status == "FAIL"]


def only_failure(topics: dict[str, Topic]) -> Finding:
    (finding,) = failures(topics)
    return finding


def test_topics_that_fit_pass_every_check() -> None:
    findings = assess(SETTINGS, fitting())

    assert {finding.status for finding in findings} == {"PASS"}
    # They exist; partitions; policies; size of dead letters, of batches elsewhere.
    assert len(findings) == 5 + 2 + 5 + 1 + 3


@pytest.mark.parametrize(
    "name", ["lately.events", "lately.scores", "lately.events.dead", "lately.receipts"]
)
def test_a_missing_topic_is_made_by_our_own_command(name: str) -> None:
    topics = fitting()
    del topics[name]

    finding = only_failure(topics)

    assert (finding.topic, finding.check) == (name, "exists")
    assert finding.fix.startswith("run `lately topics --create`")


def test_a_missing_changelog_is_no_failure_for_the_worker_makes_it() -> None:
    topics = fitting()
    del topics["lately-state-changelog"]

    assert failures(topics) == []


@pytest.mark.parametrize("name", ["lately.scores", "lately-state-changelog"])
def test_another_number_of_partitions_than_events_has_means_making_it_anew(name: str) -> None:
    topics = fitting() | {name: Topic(6, "compact", EVENT_BYTES)}

    finding = only_failure(topics)

    assert str(finding).startswith(
        f"{name}: partitions: found 6, expected 4 as lately.events has; delete and create it"
    )
    assert f"`kafka-topics.sh --bootstrap-server kafka:9092 --delete --topic {name}`" in finding.fix
    assert finding.fix.endswith("`lately topics --create`")


@pytest.mark.parametrize("name", ["lately.events.dead", "lately.receipts"])
def test_dead_letters_and_receipts_may_have_partitions_of_their_own_number(name: str) -> None:
    topics = fitting() | {name: Topic(9, "delete", EVENT_BYTES + 8192)}

    assert failures(topics) == []


@pytest.mark.parametrize(
    ("name", "found", "mended"),
    [
        ("lately.events", "compact", "delete"),
        ("lately.scores", "delete", "compact"),
        ("lately-state-changelog", "delete", "compact"),
        ("lately-state-changelog", "compact,delete", "compact"),  # would expire users' state
        ("lately.events.dead", "compact", "delete"),
        ("lately.receipts", "compact", "delete"),
    ],
)
def test_a_wrong_cleanup_policy_names_the_command_that_mends_it(
    name: str, found: str, mended: str
) -> None:
    topics = fitting()
    topics[name] = Topic(topics[name].partitions, found, EVENT_BYTES + 8192)
    topics["lately.events"] = Topic(4, topics["lately.events"].cleanup_policy, EVENT_BYTES)

    finding = only_failure(topics)

    assert (finding.topic, finding.check, finding.found) == (name, "cleanup.policy", found)
    assert finding.fix == (
        "run `kafka-configs.sh --bootstrap-server kafka:9092 --alter --entity-type topics "
        f"--entity-name {name} --add-config cleanup.policy={mended}`"
    )


@pytest.mark.parametrize("policy", ["compact,delete", "delete, compact"])
def test_scores_may_expire_as_well(policy: str) -> None:
    topics = fitting() | {"lately.scores": Topic(4, policy, EVENT_BYTES)}

    assert failures(topics) == []


def test_dead_letters_need_room_for_the_largest_event_and_our_headers() -> None:
    topics = fitting() | {"lately.events.dead": Topic(1, "delete", EVENT_BYTES + 8191)}

    (finding,) = (finding for finding in assess(SETTINGS, topics) if finding.status == "WARN")

    assert finding.check == "max.message.bytes"
    assert f"--add-config max.message.bytes={1_048_588 + 8_192}`" in finding.fix


def test_what_the_broker_does_not_tell_is_skipped_and_said() -> None:
    findings = assess(SETTINGS, {name: Topic(4) for name in fitting()})

    skipped = [finding for finding in findings if finding.status == "SKIP"]
    assert [finding.found for finding in skipped] == ["not reported by the broker"] * 6
    assert {finding.status for finding in findings} == {"PASS", "SKIP"}


# --- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lately.scores", "lately-state-changelog", "lately.receipts"])
@pytest.mark.parametrize(
    ("limit", "status"),
    [(EVENT_BYTES, "PASS"), (262_144, "WARN"), (MIN_BATCH_BYTES, "WARN"), (65_536, "FAIL")],
)
def test_a_topic_that_takes_smaller_batches_is_named_with_the_command(
    name: str, limit: int, status: str
) -> None:
    topics = fitting()
    topics[name] = Topic(4, topics[name].cleanup_policy, limit)

    (finding,) = (
        f for f in assess(SETTINGS, topics) if (f.topic, f.check) == (name, "max.message.bytes")
    )

    assert (finding.status, finding.found) == (status, str(limit))
    assert ("--add-config max.message.bytes=1048588`" in finding.fix) == (status != "PASS")


@pytest.mark.parametrize(
    ("length", "limit", "status"),
    [
        (50, MIN_BATCH_BYTES, "WARN"),
        (63, MIN_BATCH_BYTES, "WARN"),  # 63 · (1,040 + 1,028) = 130,284
        (64, MIN_BATCH_BYTES, "FAIL"),
        (100, 262_144, "WARN"),
        (200, 262_144, "FAIL"),
        (750, EVENT_BYTES, "PASS"),  # 750 · 1,040 + 255 · 1,028 = 1,042,140; Kafka's own limit
        (1_000, EVENT_BYTES, "FAIL"),
        (1_000, 1_302_140, "PASS"),  # the longest there is
    ],
)
def test_the_changelog_takes_the_longest_state_that_a_shopper_can_make(
    length: int, limit: int, status: str
) -> None:
    """Else one user with long ids ends the worker at every start."""
    settings = WorkerSettings(
        bootstrap="kafka:9092", artifact="m", state_dir="s", sequence_length=length
    )
    topics = fitting() | {settings.changelog_topic: Topic(4, "compact", limit)}
    findings = {(f.topic, f.check): f for f in assess(settings, topics)}

    assert findings[settings.changelog_topic, "max.message.bytes"].status == status


def test_a_state_is_no_longer_than_the_check_of_the_changelog_expects() -> None:
    rules = Rules(1_000, 64, 0, 0, 1 << 60)
    state = UserState()
    for offset in range(1_000):
        item = f"{offset:04}" + 252 * "\U0001f600"
        state.apply(
            event(offset, NOW_MS + offset, item=item, event_id=str(offset), category=item), rules
        )

    # The key, the ids of events and the rest of the record have a thousandth of it to themselves.
    largest = 1_000 * LARGEST_ACTION_BYTES + 255 * LARGEST_CATEGORY_BYTES
    assert len(state.to_bytes()) + 2_000 < largest


def test_batches_are_cut_to_what_the_smallest_topic_takes() -> None:
    assert batch_bytes(fitting().values()) == MAX_BATCH_BYTES
    assert batch_bytes([Topic(4), Topic(4, None, EVENT_BYTES)]) == MAX_BATCH_BYTES
    # A thirty-second stays free: what does not compress grows a little.
    assert batch_bytes([Topic(4, None, 262_144), Topic(4)]) == 262_144 - 262_144 // 32


@pytest.mark.parametrize(
    "name", ["lately.scores", "lately-state-changelog", "lately.receipts", "lately.events.dead"]
)
@pytest.mark.parametrize(
    ("replicas", "least", "fails"),
    [(1, 2, True), (2, 3, True), (3, 2, False), (1, 1, False), (None, 2, False), (1, None, False)],
)
def test_a_topic_that_would_never_acknowledge_a_write_is_refused(
    name: str, replicas: int | None, least: int | None, fails: bool
) -> None:
    topics = fitting()
    topics[name] = replace(topics[name], replicas=replicas, min_insync_replicas=least)

    if not fails:
        assert failures(topics) == []
        return
    finding = only_failure(topics)
    assert (finding.topic, finding.check) == (name, "min.insync.replicas")
    assert f"--add-config min.insync.replicas={replicas}`" in finding.fix


def test_the_events_topic_is_not_written_by_us() -> None:
    topics = fitting()
    topics["lately.events"] = replace(topics["lately.events"], replicas=1, min_insync_replicas=2)

    assert failures(topics) == []
