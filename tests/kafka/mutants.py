"""The mutants: workers with one defect each, which the oracle must find.

Run ``python -m tests.kafka.mutants NAME worker …``. A mutant crashes once, at the moment at which
its defect does harm, so that no run passes by luck; started again, it goes on with its defect.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.cli.main import main
from stream.errors import DeliveryError
from stream.events import Event, Message
from stream.group.member import GroupMember
from stream.kafka.producer import Delivery, Publisher, await_acks
from stream.kafka.write_fence import WriteFence
from stream.pipeline import delivery
from stream.pipeline.batch import Batch
from stream.pipeline.delivery import DeliveryStage, Sent, Written
from stream.pipeline.partition import Partition
from stream.pipeline.pipeline import Pipeline
from stream.pipeline.progress import Progress
from stream.pipeline.scoring import Scored
from stream.pipeline.users.reference_users import ReferenceUsers
from stream.pipeline.users.users import Folded, Snapshot
from stream.storage import recovery
from stream.user_state import Outcome, Rules, UserState
from tests.kafka.scorers import SCORERS


def crash_record() -> Path:
    """The file beside the state directory that exists once the mutant has crashed."""
    return Path(sys.argv[sys.argv.index("--state-dir") + 1] + ".crashed")


def crash_once() -> None:
    """End as kill -9 does, the first time."""
    if not crash_record().exists():
        crash_record().touch()
        os.kill(os.getpid(), signal.SIGKILL)


def crash_after_changelog() -> None:
    """Crashes when users are in the changelog and their offsets are not committed."""
    write = DeliveryStage.write_changelog

    async def write_and_crash(self: DeliveryStage, batch: Batch) -> Written:
        written = await write(self, batch)
        if batch.rows:
            crash_once()
        return written

    DeliveryStage.write_changelog = write_and_crash  # type: ignore[method-assign]


def crash_after_commit_past(unsafe: Callable[[Pipeline, int, int], bool]) -> None:
    """Crashes when an offset of a partition is committed that ``unsafe`` says was not safe."""
    mark_committed = Pipeline.mark_committed

    def mark_and_crash(self: Pipeline, offsets: Mapping[int, int]) -> None:
        mark_committed(self, offsets)
        if any(unsafe(self, number, offset) for number, offset in offsets.items()):
            crash_once()

    Pipeline.mark_committed = mark_and_crash  # type: ignore[method-assign]


def run_the_reference() -> None:
    """Leave the native core out, where the defect is in the Python that is its reference."""
    os.environ["LATELY_CORE"] = "python"


def faithful() -> None:
    """No defect, only the crash: what the oracle must not find anything wrong with."""
    crash_after_changelog()


def forgetful() -> None:
    """Applies a replayed event again: the applied offset is not looked at."""
    run_the_reference()
    apply = UserState.apply

    def apply_always(self: UserState, event: Event, rules: Rules) -> Outcome:
        self.applied_offset = -1
        return apply(self, event, rules)

    UserState.apply = apply_always  # type: ignore[method-assign]
    crash_after_changelog()


def hasty() -> None:
    """Commits what was read, before anything of it is acknowledged.

    Until the crash no batch is sent: a batch that overtakes its commit would make it harmless.
    """
    position, send = Progress.position, DeliveryStage.send

    async def send_after_crash(self: DeliveryStage, batch: Batch, scored: Scored) -> Sent:
        if not crash_record().exists():
            await asyncio.Event().wait()
        return await send(self, batch, scored)

    def read_so_far(self: Progress, partition: Partition) -> int:
        return partition.next_offset

    def passes_position(pipeline: Pipeline, number: int, offset: int) -> bool:
        return offset > position(pipeline._progress, pipeline._partitions[number])

    DeliveryStage.send = send_after_crash  # type: ignore[method-assign]
    Progress.position = read_so_far  # type: ignore[method-assign]
    crash_after_commit_past(passes_position)


def disorderly() -> None:
    """Acknowledges out of order: a batch that is done vouches for one before it that is not.

    Every other batch takes three seconds from the scores to the changelog.
    """
    start, write = Pipeline._start, DeliveryStage.write_changelog
    unfinished: list[Batch] = []
    pauses_s = cycle((3.0, 0.0))

    def start_alone(self: Pipeline, batch: Batch) -> None:
        self._in_flight.start_over()  # it waits for none before it, then removes the oldest
        unfinished.append(batch)
        start(self, batch)

    async def write_late(self: DeliveryStage, batch: Batch) -> Written:
        await asyncio.sleep(next(pauses_s))
        written = await write(self, batch)
        unfinished.remove(batch)
        return written

    def passes_unfinished(pipeline: Pipeline, number: int, offset: int) -> bool:
        parts = [batch.parts[number] for batch in unfinished if number in batch.parts]
        return any(part.start is not None and part.start < offset for part in parts)

    Pipeline._start = start_alone  # type: ignore[method-assign]
    DeliveryStage.write_changelog = write_late  # type: ignore[method-assign]
    crash_after_commit_past(passes_unfinished)


def gullible() -> None:
    """Takes a producer's retry for news: event ids are not looked at."""
    run_the_reference()
    apply = UserState.apply

    def apply_all(self: UserState, event: Event, rules: Rules) -> Outcome:
        return apply(self, msgspec.structs.replace(event, event_id=None), rules)

    UserState.apply = apply_all  # type: ignore[method-assign]


def premature() -> None:
    """Writes the changelog before the scores, and crashes between the two."""
    send = DeliveryStage.send

    async def send_late(self: DeliveryStage, batch: Batch, scored: Scored) -> Sent:
        await self.write_changelog(batch)
        if batch.rows:
            crash_once()
        return await send(self, batch, scored)

    DeliveryStage.send = send_late  # type: ignore[method-assign]


def lossy() -> None:
    """Takes an event of a user of the batch before for one that its score covers."""
    run_the_reference()
    fold, take = ReferenceUsers.fold, ReferenceUsers.take
    flying: set[bytes] = set()

    def fold_others(self: ReferenceUsers, messages: Sequence[Message]) -> Folded:
        folded = fold(self, messages)
        covered = self._waiting.keys() & flying
        for key in covered:
            del self._waiting[key]
        return folded._replace(waiting=folded.waiting - len(covered))

    def take_and_remember(self: ReferenceUsers, count: int) -> Snapshot:
        snapshot = take(self, count)
        flying.clear()
        flying.update(key for key, _ in snapshot.changes())
        return snapshot

    ReferenceUsers.fold = fold_others  # type: ignore[method-assign]
    ReferenceUsers.take = take_and_remember  # type: ignore[method-assign]


def unfenced() -> None:
    """Goes on with what it has in flight after its partitions are another's.

    The changelog takes eight seconds once it is asked for by a file beside the state directory.
    """
    write = DeliveryStage.write_changelog
    slow = Path(sys.argv[sys.argv.index("--state-dir") + 1] + ".slow")

    async def write_late(self: DeliveryStage, batch: Batch) -> Written:
        await asyncio.sleep(8.0 if slow.exists() else 0.0)  # noqa: ASYNC240 - a look, once a batch
        return await write(self, batch)

    async def give_up(self: GroupMember) -> None:
        handler: Any = self._handler
        handler._pipeline._partitions.clear()
        handler._pipeline._batcher.drop_partitions()
        handler._pipeline._in_flight.clear()

    DeliveryStage.write_changelog = write_late  # type: ignore[method-assign]
    GroupMember.on_revoked = give_up  # type: ignore[method-assign]


def deaf() -> None:
    """Does not hear that the broker refuses a record."""

    async def say_yes(topic: str, deliveries: Sequence[Any]) -> int:
        try:
            return await await_acks(topic, deliveries)
        except DeliveryError:
            return -1

    def see_nobody(self: WriteFence, topic: str, deliveries: Sequence[Delivery]) -> None:
        """It would ask the broker's answers, too."""

    delivery.await_acks = say_yes  # type: ignore[attr-defined]
    WriteFence.acknowledged = see_nobody  # type: ignore[method-assign]


def misdirected() -> None:
    """Sends the scores of a partition to the next one."""
    send = Publisher.send_batches

    async def send_elsewhere(
        self: Publisher, topic: str, partition: int, batches: Any
    ) -> list[Delivery]:
        there = (partition + 1) % 4 if topic.endswith(".scores") else partition
        return await send(self, topic, there, batches)

    Publisher.send_batches = send_elsewhere  # type: ignore[method-assign]


def undead() -> None:
    """Keeps the actions of whoever asked to be forgotten."""
    run_the_reference()

    def keep(self: UserState, offset: int) -> None:
        self.applied_offset = offset

    UserState._forget = keep  # type: ignore[method-assign]


def stale() -> None:
    """Rebuilds its state from the middle of the changelog."""

    class Hurried(AIOKafkaConsumer):  # type: ignore[misc]
        async def seek_to_beginning(self, *partitions: TopicPartition) -> bool:
            for partition, end in (await self.end_offsets(partitions)).items():
                self.seek(partition, end // 2)
            return True

    recovery.LenientConsumer = Hurried  # type: ignore[attr-defined]


def talkative() -> None:
    """Ends of an exception whose text is a shopper's id, raised where Faust sees it first."""

    async def ingest(self: Pipeline, number: int, messages: Sequence[Message]) -> None:
        raise KeyError(messages[0].key)

    Pipeline.ingest = ingest  # type: ignore[method-assign]


MUTANTS = {
    mutant.__name__: mutant
    for mutant in (
        faithful,
        forgetful,
        hasty,
        disorderly,
        gullible,
        premature,
        lossy,
        unfenced,
        deaf,
        misdirected,
        undead,
        stale,
        *SCORERS,
        talkative,
    )
}

if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    main()
