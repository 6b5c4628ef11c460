"""The group member: runs a partition handler through assignments and revocations."""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from stream.errors import BrokerError, FencedError, GroupError, LatelyError
from stream.events import Message
from stream.group.committer import Committer
from stream.group.faust_app import App
from stream.group.faust_consumer import FaustConsumer
from stream.group.handler import PartitionHandler
from stream.group.rejoin import Rejoiner
from stream.health import Health
from stream.kafka.client_internals import Refusal
from stream.kafka.connection_errors import AUTHORIZATION_ERRORS, authorization_message
from stream.kafka.lease import Lease

REVOKE_S = 20.0  # to finish and commit before a rebalance; well below the group's rebalance timeout
LOST_S = 2.0  # for requests already sent, when the partitions are lost anyway
_log = structlog.get_logger(__name__)


class GroupMember:
    """One member of a consumer group; its handler processes the assigned partitions of one topic.

    ``commits`` counts commits by result, see `Committer`; ``rebalances`` counts assignments.
    """

    def __init__(
        self,
        app: App,
        topic: str,
        handler: PartitionHandler,
        *,
        lease: Lease,
        health: Health,
        commits: Mapping[str, Counter],
        rebalances: Counter,
    ) -> None:
        self._handler = handler
        self._lease = lease
        self._health = health
        self._rebalances = rebalances
        self._group, self._instance_id = app.conf.id, app.conf.consumer_group_instance_id
        self._loop = asyncio.get_running_loop()
        self.consumer = FaustConsumer(app, topic, self, lease.renew, self._on_refused)
        self._committer = Committer(handler, self.consumer, commits)
        self._rejoiner = Rejoiner(handler.fenced, self.consumer, health)

    async def start(self) -> None:
        """Join the group; returns before partitions are assigned."""
        await self.consumer.start()

    def services(self, commit_interval_s: float) -> list[Coroutine[Any, Any, None]]:
        """What must run beside the consumer, each until cancelled."""
        return [self._committer.run(commit_interval_s), self._rejoiner.run()]

    async def drain(self, budget_s: float) -> bool:
        """Finish and commit within the budget; what is not done by then is read again."""
        deadline_s = time.monotonic() + budget_s
        drained = await self._handler.drain(budget_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.5, deadline_s - time.monotonic())):
                await self._committer.commit()
        return drained

    def stop_flow(self) -> None:
        """Take no more records; those fetched already are read again after the next assignment."""
        self.consumer.stop_flow()

    async def wait_until_stopped(self) -> BaseException | None:
        """Wait for Faust to end; the error that it ended of, None after `leave`."""
        return await self.consumer.wait_until_stopped()

    async def leave(self, timeout_s: float) -> None:
        """Leave the group, if that succeeds in time; the session timeout does it otherwise."""
        with suppress(TimeoutError, Exception):
            async with asyncio.timeout(timeout_s):
                await self.consumer.stop()

    def committed(self) -> Mapping[int, int]:
        """The group's offset of each assigned partition, as of its last commit."""
        return self._committer.committed()

    def _on_refused(self, refusal: Refusal) -> bool:
        """The group does not have us; called on the consumer's thread. Whether the process ends."""
        # While the lease is held our session cannot be over, so somebody took our place.
        if refusal == "unknown" and not self._lease.is_held():
            return False
        if refusal == "protocol":
            line = (
                f"group {self._group} is used by consumers that are no workers of Lately; set "
                "another --group, or stop them"
            )
        else:
            line = (
                f"group {self._group}: another worker with our instance id {self._instance_id} "
                "has taken our place; give each worker its own --state-dir, and its own "
                "--instance-id if you set one"
            )
        self._loop.call_soon_threadsafe(self._handler.fail, GroupError(line))
        return True

    # --- called by the consumer ---------------------------------------------------------------

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """Let the handler take over these partitions, and say when they are ready."""
        _log.info("partitions assigned", partitions=sorted(partitions))
        self._rebalances.inc()
        if partitions:
            self._health.set_ok("partitions")
        else:
            self._health.set_failed(
                "partitions",
                "no partition of the events topic is assigned to this worker: the group has more "
                "workers than partitions, or the topic was missing",
            )
        try:
            committed = await self.consumer.fetch_committed(partitions)
            await self._handler.recover(committed)
        except AUTHORIZATION_ERRORS as error:
            # Not raised here: Faust would log it as a crash of its own.
            self._handler.fail(BrokerError(authorization_message(error)))
        except FencedError as error:
            self._handler.release(error)
        except LatelyError as error:
            self._handler.fail(error)
        except KafkaError as error:
            self._handler.fail(
                BrokerError(
                    f"the broker broke off while we took over partitions ({error!r}); look at the "
                    "broker and at the leaders of our topics, and start the worker again"
                )
            )
        else:
            self._committer.reset(committed)
            self._health.set_ok("state")

    async def on_records(self, partition: int, messages: Sequence[Message]) -> None:
        """Hand fetched records to the handler."""
        await self._handler.ingest(partition, messages)

    async def on_revoked(self) -> None:
        """Finish and commit what can be, then give up the partitions."""
        self._health.set_failed("partitions", "the group rebalances")
        self._health.set_failed("state", "the state is not recovered since the last rebalance")
        owned = self._lease.is_held()
        _log.info("rebalance: partitions revoked", finishing=owned)
        budget_s = REVOKE_S if owned else LOST_S
        deadline_s = time.monotonic() + budget_s
        if owned:
            await self.drain(budget_s)
        else:  # another member may own them by now, so nothing that waits may be finished
            _log.warning("partitions lost: no heartbeat was answered for a session timeout")
        if not await self._handler.revoke(max(0.0, deadline_s - time.monotonic())):
            # Requests in flight could arrive after the new owner's, and win. A producer whose
            # process has ended sends nothing.
            self._handler.fail(
                LatelyError(
                    f"partitions are revoked, and the broker has not acknowledged our batches for "
                    f"{budget_s:g} s; start the worker again, the events come again"
                )
            )
