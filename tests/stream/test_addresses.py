"""An address is a host and a port, whichever IP version it is of."""

import pytest

from stream.addresses import Address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:9092", "localhost", 9092),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("[::1]:65535", "::1", 65535),
    ],
)
def test_host_and_port_are_told_apart_and_brackets_taken_off(
    text: str, host: str, port: int
) -> None:
    address = Address.parse(text)

    assert address == (host, port)
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "kafka", ":9092", "kafka:", "kafka:x", "kafka:65536", "k:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        Address.parse(text)
