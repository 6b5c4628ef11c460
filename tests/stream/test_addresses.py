"""An address is a host and a port, whichever IP version it is of."""

import pytest

from stream.addresses import Address, without_scheme


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


@pytest.mark.parametrize(
    "text",
    [
        *("", "kafka", ":9092", "kafka:", "kafka:x", "kafka:65536", "k:²", "kafka:9092/"),
        *("a:1;b:2", "a:1 b:2", "//a:1", "user:password@a:1", '"a:1"', "'a':1", "a\r:1"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("broker", "protocol"),
    [
        ("kafka:9092", "PLAINTEXT"),
        (" kafka:9092 ", "SSL"),
        ("kafka://kafka:9092", "SASL_SSL"),  # as Faust writes it, whatever the protocol
        ("KAFKA://kafka:9092/", "PLAINTEXT"),
        ("PLAINTEXT://kafka:9092", "PLAINTEXT"),  # as a broker's listeners are written
        ("plaintext://kafka:9092", "PLAINTEXT"),
        ("SASL_SSL://kafka:9092", "SASL_SSL"),
    ],
)
def test_a_scheme_that_says_what_is_known_is_taken_off(broker: str, protocol: str) -> None:
    assert without_scheme(broker, protocol) == "kafka:9092"


@pytest.mark.parametrize(
    ("broker", "protocol", "said"),
    [
        ("SSL://kafka:9093", "PLAINTEXT", "names SSL, but security_protocol is PLAINTEXT; set"),
        ("PLAINTEXT://kafka:9092", "SSL", "names PLAINTEXT, but security_protocol is SSL; set"),
        ("http://kafka:9092", "PLAINTEXT", "is http, not Kafka; give a broker's HOST:PORT"),
        ("://kafka:9092", "PLAINTEXT", "not Kafka"),
    ],
)
def test_another_scheme_is_refused_with_what_to_set(broker: str, protocol: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        without_scheme(broker, protocol)

    assert str(error.value).startswith(f"bootstrap: '{broker}' ")
