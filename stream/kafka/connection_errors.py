"""Refusals: why a broker does not let us in, or not do something, in one line."""

import asyncio
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from stream.errors import BrokerError, TopicsError
from stream.kafka.security import client_options
from stream.settings import KafkaSettings

PATIENCE_S = 3.0
DENIED = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)
_WHAT = ("topic", "group", "cluster")
_OTHER_NAME = (62, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH
_SEE_LOG = "the broker's log says why"


def denial(error: KafkaError) -> str:
    """One line for an error of DENIED: what we may not use, and how to change that."""
    what = dict(zip(DENIED, _WHAT, strict=True))[type(error)]
    named = " ".join(str(argument) for argument in error.args)
    return (
        f"the broker denies us something on the {what} {named}".rstrip()
        + "; give our user the rights that deploy/kafka/acls.sh lists"
    )


def missing(settings: KafkaSettings, topic: str, flag: str) -> TopicsError:
    """The error for a topic, which the option ``flag`` names, that no broker shows us."""
    # One that asks who we are hides what we may not see.
    hidden = "" if settings.security_protocol == "PLAINTEXT" else ", or see deploy/kafka/acls.sh"
    return TopicsError(
        f"{settings.bootstrap} has no topic {topic}; run `lately topics --create`, or set {flag}"
        f"{hidden}"
    )


async def raise_refusal(settings: KafkaSettings) -> str:
    """Knock at each broker once; what may help, if none refused us and none let us in.

    aiokafka logs what a connection ended of, and raises that no broker could be reached; to say a
    wrong password once is better than to say it again and again, for that locks accounts.

    Raises BrokerError when one refuses us for a reason that will not pass.
    """
    advice = ""
    for broker in settings.bootstrap.split(","):
        host, _, port = broker.strip().rpartition(":")
        try:
            with quiet_client():
                await _knock(settings, host.strip("[]"), int(port))
        except (KafkaError, OSError) as error:
            if why := _refused(error, settings):
                raise BrokerError(f"{broker.strip()}: {why}") from error
            if isinstance(error, KafkaConnectionError):
                advice = advice or _hung_up(settings)
    return advice


async def _knock(settings: KafkaSettings, host: str, port: int) -> None:
    options = client_options(settings)
    del options["bootstrap_servers"]
    async with asyncio.timeout(PATIENCE_S):
        connection = await create_conn(host, port, **options)
        try:
            answer = await connection.send(MetadataRequest([]))
        finally:
            connection.close()
    if not answer.brokers:
        # aiokafka does not read what is answered to a token, so a bad one is found out only here.
        raise SaslAuthenticationFailed


def _refused(error: Exception, settings: KafkaSettings) -> str | None:
    """Say what a broker ended a connection with; None if that may pass, or may be anything."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return (
                f"the broker's certificate is for another host ({error.verify_message}); "
                "set --bootstrap to the name in the certificate"
            )
        return (
            f"the broker's certificate is not trusted ({error.verify_message}); "
            "set LATELY_SSL_CA_FILE to the authority that signed it"
        )
    if isinstance(error, ssl.SSLError):
        return f"no TLS with the broker ({error.reason}); check LATELY_SECURITY_PROTOCOL"
    if isinstance(error, SaslAuthenticationFailed):
        if settings.sasl_mechanism == "OAUTHBEARER":
            return f"the broker refuses our token; check LATELY_SASL_TOKEN_FILE, {_SEE_LOG}"
        return (
            f"the broker refuses our user and password by {settings.sasl_mechanism}; "
            f"check LATELY_SASL_USERNAME and LATELY_SASL_PASSWORD_FILE, {_SEE_LOG}"
        )
    if isinstance(error, IllegalSaslStateError):
        return "the broker takes no SASL at this port; set LATELY_SECURITY_PROTOCOL"
    if isinstance(error, UnsupportedSaslMechanismError):
        return (
            f"the broker does not take {settings.sasl_mechanism}; "
            "set LATELY_SASL_MECHANISM to one that it takes"
        )
    return None


def _hung_up(settings: KafkaSettings) -> str:
    """Say what to look at when a broker takes the connection and then closes it."""
    if settings.security_protocol == "SSL":
        return (
            "the broker may want a client certificate (LATELY_SSL_CERT_FILE, LATELY_SSL_KEY_FILE) "
            f"of an authority that it trusts, or SASL (LATELY_SECURITY_PROTOCOL); {_SEE_LOG}"
        )
    return f"check LATELY_SECURITY_PROTOCOL ({settings.security_protocol}); {_SEE_LOG}"


@contextmanager
def quiet_client() -> Iterator[None]:
    """Errors come to the user as one line of ours, not as the client's log of every attempt."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
