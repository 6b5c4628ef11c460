"""The link: carries bytes, or does to them what it is told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.chaos.link import Link

PATIENCE_S = 10.0
SILENCE_S = 0.3  # how long nothing must come, where nothing may


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self.heard_something = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:  # closed
                return
            with suppress(ConnectionError):
                while data := peer.recv(100):
                    self.heard += data
                    self.heard_something.set()
                    peer.sendall(data)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def link(echo: Echo) -> Iterator[Link]:
    link = Link(echo.port)
    yield link
    link.close()


@pytest.fixture
def caller(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE_S) as caller:
        yield caller


def test_carries_there_and_back(caller: socket.socket) -> None:
    caller.sendall(b"hello")

    assert caller.recv(100) == b"hello"


def test_stalled_link_gives_nothing_until_it_is_healed(
    link: Link, echo: Echo, caller: socket.socket
) -> None:
    link.stall()
    caller.sendall(b"hello")
    caller.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        caller.recv(100)
    assert echo.heard == b""

    link.heal()
    caller.settimeout(PATIENCE_S)
    assert caller.recv(100) == b"hello"


def test_half_open_link_still_carries_out(link: Link, echo: Echo, caller: socket.socket) -> None:
    link.stall("back")
    caller.sendall(b"hello")

    assert echo.heard_something.wait(PATIENCE_S)
    caller.settimeout(SILENCE_S)
    with pytest.raises(TimeoutError):
        caller.recv(100)


def test_reset_link_cuts_its_connections_and_takes_new_ones(
    link: Link, caller: socket.socket
) -> None:
    caller.sendall(b"hello")
    caller.recv(100)
    link.reset()
    with pytest.raises(ConnectionResetError):
        caller.recv(100)

    with socket.create_connection(("127.0.0.1", link.port), timeout=PATIENCE_S) as again:
        again.sendall(b"again")
        assert again.recv(100) == b"again"
