"""Connection errors: what Kafka refuses, as one line that says how to fix it."""

import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

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

from stream.errors import BrokerError, TopicsError
from stream.kafka.protocol import probe
from stream.settings import KafkaSettings

AUTHORIZATION_ERRORS = (
    TopicAuthorizationFailedError,
    GroupAuthorizationFailedError,
    ClusterAuthorizationFailedError,
)
IS_IT_RUNNING = "is it running? Set --bootstrap or LATELY_BOOTSTRAP"
_RESOURCES = ("topic", "group", "cluster")
# OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH.
_HOST_MISMATCH = (62, 64)
_SEE_LOG = "the broker's log says why"


@asynccontextmanager
async def broker_errors(
    settings: KafkaSettings, describe: Callable[[Exception, str], str]
) -> AsyncIterator[None]:
    """Raise BrokerError for an error of Kafka's in this block, and keep its client quiet.

    A missing right, or what ``probe_brokers`` finds, describes itself. ``describe`` gets any other
    error, and what ``probe_brokers`` advises: an empty text if it has no advice.
    """
    with quiet_client():
        try:
            yield
        except AUTHORIZATION_ERRORS as error:
            raise BrokerError(f"{settings.bootstrap}: {authorization_message(error)}") from error
        except (KafkaError, TimeoutError) as error:
            advice = await probe_brokers(settings)
            raise BrokerError(describe(error, advice)) from error


def authorization_message(error: KafkaError) -> str:
    """One line for one of AUTHORIZATION_ERRORS: the resource, and how to grant access to it."""
    resource = dict(zip(AUTHORIZATION_ERRORS, _RESOURCES, strict=True))[type(error)]
    named = " ".join(str(argument) for argument in error.args)
    return (
        f"the broker denies us access to the {resource} {named}".rstrip()
        + "; give our user the rights that deploy/kafka/acls.sh lists"
    )


def missing_topic(settings: KafkaSettings, topic: str, flag: str) -> TopicsError:
    """The error for a topic, set by the option ``flag``, that the brokers do not show."""
    # A broker with authentication hides the topics that we have no rights on.
    hidden = "" if settings.security_protocol == "PLAINTEXT" else ", or see deploy/kafka/acls.sh"
    return TopicsError(
        f"{settings.bootstrap} has no topic {topic}; run `lately topics --create` "
        f"with the same settings, or set {flag}{hidden}"
    )


async def probe_brokers(settings: KafkaSettings) -> str:
    """Connect to each broker once, and raise BrokerError for an error that will not pass.

    Returns advice if a broker closed the connection without a reason, else an empty text.

    aiokafka only logs why a connection ended, and raises that no broker could be reached. It also
    tries again and again, and repeated wrong passwords lock accounts.
    """
    advice = ""
    for broker in settings.brokers:
        try:
            with quiet_client():
                await probe(settings, broker)
        except (KafkaError, OSError) as error:
            if cause := _permanent_cause(error, settings):
                raise BrokerError(f"{broker}: {cause}") from error
            if isinstance(error, KafkaConnectionError):
                advice = advice or _advice_after_close(settings)
    return advice


def _permanent_cause(error: Exception, settings: KafkaSettings) -> str | None:
    """Why the broker rejects us and what to change; None if the error may be temporary."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _HOST_MISMATCH:
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
        return "the broker does not use SASL on this port; set LATELY_SECURITY_PROTOCOL"
    if isinstance(error, UnsupportedSaslMechanismError):
        return (
            f"the broker does not support {settings.sasl_mechanism}; "
            "set LATELY_SASL_MECHANISM to one that it supports"
        )
    return None


def _advice_after_close(settings: KafkaSettings) -> str:
    """What to check when a broker accepts the connection and then closes it."""
    if settings.security_protocol == "SSL":
        return (
            "the broker may want a client certificate (LATELY_SSL_CERT_FILE, LATELY_SSL_KEY_FILE) "
            f"from an authority that it trusts, or SASL (LATELY_SECURITY_PROTOCOL); {_SEE_LOG}"
        )
    return f"check LATELY_SECURITY_PROTOCOL ({settings.security_protocol}); {_SEE_LOG}"


@contextmanager
def quiet_client() -> Iterator[None]:
    """Silence aiokafka's log: it reports each attempt, and we report the outcome in one line."""
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
