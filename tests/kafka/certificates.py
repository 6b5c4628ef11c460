"""The certificates: authorities and what they sign, keys for tokens; all made by openssl."""

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from tests.kafka.broker import Unavailable

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")


class Certificate(NamedTuple):
    """A certificate and its key, each a PEM file, and both in one, as Kafka wants them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates; ``certificate`` is what to trust."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = folder / f"{name}.key"
        self.certificate = folder / f"{name}.pem"
        _openssl(
            *("req", "-x509", *_KEY, "-subj", f"/CN={name}"),
            *("-addext", "keyUsage=critical,keyCertSign"),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def issue(self, name: str, *hosts: str) -> Certificate:
        """Sign a certificate for ``CN=name`` and these hosts, as in ``DNS:localhost``."""
        issued = Certificate(*(self._folder / f"{name}.{end}" for end in ("pem", "key", "both")))
        names = ("-addext", f"subjectAltName={','.join(hosts)}") if hosts else ()
        _openssl(
            *("req", "-x509", *_KEY, "-subj", f"/CN={name}", *names),
            *("-CA", str(self.certificate), "-CAkey", str(self._key)),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", str(issued.key), "-out", str(issued.certificate)),
        )
        issued.both.write_text(issued.key.read_text() + issued.certificate.read_text())
        return issued


class TokenIssuer:
    """Signs bearer tokens (JWT, RS256); ``jwks`` is the file by which a broker checks them."""

    AUDIENCE = "kafka"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = folder / "tokens.key"
        _openssl("genrsa", "-out", str(self._key), "2048")
        modulus = _openssl("rsa", "-in", str(self._key), "-noout", "-modulus").decode()
        number = bytes.fromhex(modulus.strip().removeprefix("Modulus="))
        key = {"kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "e": "AQAB"}
        self.jwks = folder / "jwks.json"
        self.jwks.write_text(json.dumps({"keys": [{**key, "n": _base64(number)}]}))

    def token(self, subject: str, lives_s: int = 3600) -> str:
        """A token of this subject that ends in so many seconds, or ended so many ago."""
        now_s = int(time.time())
        # Issued a while ago, so that one that has ended was once good.
        claims = {"sub": subject, "aud": self.AUDIENCE, "iat": now_s - 7200, "exp": now_s + lives_s}
        parts = [{"alg": "RS256", "kid": "k1"}, claims]
        signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
        digest = ("dgst", "-sha256", "-sign", str(self._key))
        return f"{signed}.{_base64(_openssl(*digest, text=signed.encode()))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*arguments: str, text: bytes = b"") -> bytes:
    if not shutil.which("openssl"):
        raise Unavailable("no openssl: install it")
    done = subprocess.run(["openssl", *arguments], input=text, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.decode().strip()}")
    return done.stdout
