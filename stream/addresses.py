"""Addresses: HOST:PORT, with the host of an IPv6 address in brackets."""

from typing import NamedTuple, Self

MAX_PORT = 65_535


class Address(NamedTuple):
    """A host, without brackets, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse HOST:PORT. Raises ValueError."""
        host, _, port = text.rpartition(":")
        if not (host and port.isdecimal() and int(port) <= MAX_PORT):
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
