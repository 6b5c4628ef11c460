"""The command `lately topics`: shows whether the topics fit, and creates those missing."""

import asyncio
import json
from collections.abc import Iterator, Sequence

from stream.command_name import as_typed
from stream.errors import SettingsError
from stream.kafka.placement import check_recent_keys
from stream.kafka.topic_checks import Finding, exists
from stream.kafka.topics import check_topics, create_topics
from stream.settings import KafkaSettings


def topics(
    settings: KafkaSettings,
    *,
    create_missing: bool = False,
    partitions: int | None = None,
    replication: int | None = None,
    as_json: bool = False,
) -> int:
    """Print what was created and found; returns 1 if a check fails, else 0.

    Raises SettingsError, TopicsError, BrokerError.
    """
    if partitions is not None and not create_missing:
        raise SettingsError("--partitions: nothing is created without --create; give both")
    return asyncio.run(_topics(settings, create_missing, partitions, replication, as_json))


async def _topics(
    settings: KafkaSettings,
    create_missing: bool,
    partitions: int | None,
    replication: int | None,
    as_json: bool,
) -> int:
    created = await create_topics(settings, partitions, replication) if create_missing else []
    findings = await check_topics(settings)
    if exists(settings.events_topic, findings):
        findings.append(await check_recent_keys(settings))
    fit = all(finding.status != "FAIL" for finding in findings)
    if as_json:
        found = [finding.as_dict() for finding in findings]
        print(json.dumps({"fit": fit, "created": created, "findings": found}, indent=2))
    else:
        lines = [*(f"created {name}" for name in created), *_table(findings)]
        print(as_typed("\n".join(lines)))
    return 0 if fit else 1


def _table(findings: Sequence[Finding]) -> Iterator[str]:
    topic_width = max(len(finding.topic) for finding in findings)
    check_width = max(len(finding.check) for finding in findings)
    for finding in findings:
        line = f"{finding.status}  {finding.topic:{topic_width}}  {finding.check:{check_width}}  "
        if finding.status == "PASS":
            yield line + finding.found
        else:
            yield f"{line}{finding.found}, expected {finding.expected}"
        if finding.fix:
            yield f"      {finding.fix}"
