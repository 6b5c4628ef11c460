"""The secure broker: a real Kafka that lets in by TLS, mutual TLS and every SASL mechanism.

Beside them it has the open listener, on which the tests make and read topics; whoever comes by it
is a superuser. Everybody else may do what an access control list says, and nothing more, but for
those of SUPERUSERS.
"""

from pathlib import Path

from tests.kafka.broker import Broker, free_port
from tests.kafka.certificates import Authority, TokenIssuer
from tests.kafka.worker import Settings

PASSWORD = "canary-password-3c1f"
LIMITED = "limited"  # a user of SCRAM-SHA-512 who is no superuser
HOSTS = ("DNS:localhost", "IP:127.0.0.1")
SUPERUSERS = ("ANONYMOUS", "CN=lately-worker", "plain", "scram256", "scram512", "oauth")
_MODULES = {
    "plain": f'plain.PlainLoginModule required user_plain="{PASSWORD}";',
    "scram-sha-256": "scram.ScramLoginModule required;",
    "scram-sha-512": "scram.ScramLoginModule required;",
    "oauthbearer": (
        'oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";'
    ),
}
_SCRAM = {"SCRAM-SHA-256": ("scram256",), "SCRAM-SHA-512": ("scram512", LIMITED)}
_PROTOCOLS = {"tls": "SSL", "mtls": "SSL", "elsewhere": "SSL", "sasl": "SASL_SSL"}
_REAUTHENTICATE_MS = "3600000"  # with it, a connection ends when its token does


class SecureBroker(Broker):
    """Makes its certificates, users and keys when it is made."""

    def __init__(self, folder: Path) -> None:
        made = folder / "made"
        self.authority = Authority(made / "ours", "authority")
        self.stranger = Authority(made / "theirs", "stranger")
        self.tokens = TokenIssuer(made / "tokens")
        self.client_certificate = self.authority.issue("lately-worker")
        self.foreign_certificate = self.stranger.issue("lately-worker")
        here = self.authority.issue("broker", *HOSTS)
        elsewhere = self.authority.issue("elsewhere", "DNS:kafka.elsewhere.example")
        self.ports = {name: free_port() for name in _PROTOCOLS}
        settings: dict[str, str] = {}
        for name in _PROTOCOLS:
            settings |= self._listener(name, elsewhere.both if name == "elsewhere" else here.both)
        scram = [
            f"--add-scram={mechanism}=[name={user},password={PASSWORD}]"
            for mechanism, users in _SCRAM.items()
            for user in users
        ]
        allowed = f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://{self.tokens.jwks}"
        super().__init__(
            folder,
            settings | self._sasl() | _authorizer(),
            format_options=scram,
            java_options=(allowed,),
        )

    def address(self, listener: str) -> str:
        """HOST:PORT of one of the secured listeners, by a name that the certificate has."""
        return f"localhost:{self.ports[listener]}"

    def tls(self) -> Settings:
        """What a client sets to talk TLS to it."""
        return {"security_protocol": "SSL", "ssl_ca_file": str(self.authority.certificate)}

    def sasl(self, mechanism: str, user: str) -> Settings:
        """What a client sets to come in by a user; the password is in a file."""
        file = self._folder / "made" / "password"
        file.write_text(f"{PASSWORD}\n")
        return {
            **self.tls(),
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "sasl_username": user,
            "sasl_password_file": str(file),
        }

    def bearer(self, file: Path) -> Settings:
        """What a client sets to come in by the token in a file."""
        return {
            **self.tls(),
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "OAUTHBEARER",
            "sasl_token_file": str(file),
        }

    def _properties(self) -> dict[str, str]:
        properties = super()._properties()
        secured = {name.upper(): f"localhost:{port}" for name, port in self.ports.items()}
        addresses = "".join(f",{name}://{address}" for name, address in secured.items())
        protocols = "".join(f",{name.upper()}:{p}" for name, p in _PROTOCOLS.items())
        properties["listeners"] += addresses
        properties["advertised.listeners"] += addresses
        properties["listener.security.protocol.map"] += protocols
        return properties

    def _listener(self, name: str, identity: Path) -> dict[str, str]:
        prefix = f"listener.name.{name}.ssl"
        return {
            f"{prefix}.keystore.type": "PEM",
            f"{prefix}.keystore.location": str(identity),
            f"{prefix}.truststore.type": "PEM",
            f"{prefix}.truststore.location": str(self.authority.certificate),
            f"{prefix}.client.auth": "required" if name == "mtls" else "none",
        }

    def _sasl(self) -> dict[str, str]:
        prefix = "listener.name.sasl"
        package = "org.apache.kafka.common.security"
        modules = {
            f"{prefix}.{mechanism}.sasl.jaas.config": f"{package}.{module}"
            for mechanism, module in _MODULES.items()
        }
        oauth = f"{prefix}.oauthbearer"
        return {
            **modules,
            f"{prefix}.sasl.enabled.mechanisms": ",".join(_MODULES).upper(),
            f"{oauth}.sasl.server.callback.handler.class": (
                f"{package}.oauthbearer.OAuthBearerValidatorCallbackHandler"
            ),
            f"{oauth}.sasl.oauthbearer.jwks.endpoint.url": f"file://{self.tokens.jwks}",
            f"{oauth}.sasl.oauthbearer.expected.audience": TokenIssuer.AUDIENCE,
            f"{oauth}.connections.max.reauth.ms": _REAUTHENTICATE_MS,
        }


def _authorizer() -> dict[str, str]:
    return {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": ";".join(f"User:{user}" for user in SUPERUSERS),
    }
