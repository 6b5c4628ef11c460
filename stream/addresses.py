"""Addresses: HOST:PORT, with the host of an IPv6 address in brackets."""

import re
from typing import NamedTuple, Self

MAX_PORT = 65_535
_NO_HOST = re.compile(r"[\s/;,@\"']")
_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")


class Address(NamedTuple):
    """A host, without brackets, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse HOST:PORT. Raises ValueError."""
        host, _, port = text.rpartition(":")
        is_port = port.isdecimal() and int(port) <= MAX_PORT
        if not (host and is_port) or _NO_HOST.search(host):
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def without_scheme(broker: str, protocol: str) -> str:
    """HOST:PORT of ``kafka://HOST:PORT``, or of a scheme that is the security protocol in use.

    Faust writes the one, the listeners of a broker the other. Raises ValueError for other schemes.
    """
    broker = broker.strip()
    scheme, separator, address = broker.partition("://")
    if not separator:
        return broker
    if scheme.lower() == "kafka" or scheme.upper() == protocol:
        return address.rstrip("/")
    if scheme.upper() in _PROTOCOLS:
        raise ValueError(
            f"bootstrap: {broker!r} names {scheme.upper()}, but security_protocol is {protocol}; "
            f"set --security-protocol or LATELY_SECURITY_PROTOCOL to {scheme.upper()}"
        )
    raise ValueError(
        f"bootstrap: {broker!r} is {scheme}, not Kafka; give a broker's HOST:PORT to "
        "--bootstrap or LATELY_BOOTSTRAP"
    )
