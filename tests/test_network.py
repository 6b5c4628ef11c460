"""uv goes where pip is told to go: index, certificate, proxy and what else names the way."""

import base64
import hashlib
import importlib.util
import os
import ssl
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.kafka.broker import Unavailable
from tests.kafka.certificates import Authority

FILE = Path(__file__).parents[1] / "requirements" / "network.py"
_spec = importlib.util.spec_from_file_location("network", FILE)
assert _spec and _spec.loader
network = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(network)

STORE = "/etc/ssl/store.crt"
linux = pytest.mark.skipif(sys.platform == "darwin", reason="there pip asks the system by itself")


@pytest.mark.parametrize(
    ("told", "environment", "expected"),
    [
        ({"index-url": "https://one/simple"}, {}, {"UV_DEFAULT_INDEX": "https://one/simple"}),
        ({"index-url": "https://one/simple"}, {"UV_DEFAULT_INDEX": "https://two/simple"}, {}),
        ({"index-url": "https://one/simple"}, {"UV_INDEX_URL": "https://two/simple"}, {}),
        (
            {"extra-index-url": "https://one\nhttps://two"},
            {},
            # pip takes a file from whichever index has it; so must uv.
            {"UV_INDEX": "https://one https://two", "UV_INDEX_STRATEGY": "unsafe-best-match"},
        ),
        (
            {"find-links": "https://one/wheels /not/there"},
            {},
            {"UV_FIND_LINKS": "https://one/wheels"},
        ),
        ({"find-links": "/not/there"}, {}, {}),
        ({"find-links": "~"}, {}, {"UV_FIND_LINKS": str(Path.home())}),
        ({"find-links": "file:///not/there"}, {}, {"UV_FIND_LINKS": "file:///not/there"}),
        ({"trusted-host": "one two:8443"}, {}, {"UV_INSECURE_HOST": "one two:8443"}),
        ({"client-cert": "own.pem"}, {}, {"SSL_CLIENT_CERT": "own.pem"}),
        ({"timeout": "180"}, {}, {"UV_HTTP_TIMEOUT": "180"}),
        ({"timeout": "2.5"}, {}, {"UV_HTTP_TIMEOUT": "3"}),  # uv knows whole seconds alone
        ({"user": "true"}, {}, {"PIP_USER": "0"}),
        ({"user": "0"}, {}, {}),
        ({"retries": "9"}, {}, {"UV_HTTP_RETRIES": "9"}),
        # pip takes a proxy without a scheme, and its own before those of the environment.
        (
            {"proxy": "proxy:3128"},
            {"https_proxy": "http://other"},
            dict.fromkeys((*network.PROXIES, "PIP_PROXY"), "http://proxy:3128"),
        ),
        (
            {"proxy": "socks5://proxy"},
            {},
            dict.fromkeys((*network.PROXIES, "PIP_PROXY"), "socks5://proxy"),
        ),
        ({"quiet": "1"}, {}, {}),
    ],
)
def test_what_pip_is_told_uv_is_told(
    told: dict[str, str], environment: dict[str, str], expected: dict[str, str]
) -> None:
    environment = {"SSL_CERT_FILE": "x", **environment}
    trust = {"SSL_CERT_FILE": "x", "PIP_CERT": "x"}

    assert network.variables(told, environment, STORE) == {**trust, **expected}


@pytest.mark.parametrize(
    ("told", "environment", "expected"),
    [
        ({"cert": "pip.pem"}, {}, {"SSL_CERT_FILE": "pip.pem", "PIP_CERT": "pip.pem"}),
        # The one that pip is told is for packages; the other is for every program.
        (
            {"cert": "pip.pem"},
            {"SSL_CERT_FILE": "all.pem"},
            {"SSL_CERT_FILE": "pip.pem", "PIP_CERT": "pip.pem"},
        ),
        ({}, {"SSL_CERT_FILE": "all.pem"}, {"SSL_CERT_FILE": "all.pem", "PIP_CERT": "all.pem"}),
        ({}, {"REQUESTS_CA_BUNDLE": "r.pem"}, {"SSL_CERT_FILE": "r.pem", "PIP_CERT": "r.pem"}),
        ({}, {"CURL_CA_BUNDLE": "c.pem"}, {"SSL_CERT_FILE": "c.pem", "PIP_CERT": "c.pem"}),
        # pip's library for HTTP takes these two before what pip is told.
        (
            {"cert": "pip.pem"},
            {"REQUESTS_CA_BUNDLE": "r.pem"},
            {"SSL_CERT_FILE": "r.pem", "PIP_CERT": "r.pem"},
        ),
        (
            {"cert": "pip.pem"},
            {"CURL_CA_BUNDLE": "c.pem", "SSL_CERT_FILE": "all.pem"},
            {"SSL_CERT_FILE": "c.pem", "PIP_CERT": "c.pem"},
        ),
        ({"cert": str(FILE.parent)}, {}, {"SSL_CERT_DIR": str(FILE.parent)}),
        pytest.param({}, {}, {"UV_SYSTEM_CERTS": "true", "PIP_CERT": STORE}, marks=linux),
    ],
)
def test_both_trust_what_pip_is_told_to_trust_or_else_the_system(
    told: dict[str, str], environment: dict[str, str], expected: dict[str, str]
) -> None:
    assert expected.items() <= network.variables(told, environment, STORE).items()


@linux
def test_a_system_without_certificates_leaves_both_with_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "STORES", ("/not/there",))

    assert network.variables({}, {}) == {}


def test_a_section_of_the_command_wins_over_the_general_one_and_a_variable_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        "[global]\nindex-url = https://one\ntimeout = 5\nproxy = one:1\n"
        "[install]\nindex_url = https://two\ntimeout = 6\n[download]\nindex-url = https://no\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_TIMEOUT", "7")

    told = network.pip_settings()

    assert (told["index-url"], told["timeout"], told["proxy"]) == ("https://two", "7", "one:1")


def test_pip_is_understood_in_each_way_that_it_may_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(
        "[global]\n--pypi-url = https://us%20er:p%40ss@one\ntimeout = 5\ncert = ~/ca.pem\n"
        "EXTRA_INDEX_URL =\n    https://two\n    https://three\nproxy = file:1\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "7")
    monkeypatch.setenv("PIP_CLIENT_CERT", "~/own.pem")
    monkeypatch.setenv("PIP_RETRIES", "")

    told = network.pip_settings()

    assert told["index-url"] == "https://us%20er:p%40ss@one"
    assert told["extra-index-url"].split() == ["https://two", "https://three"]
    assert (told["timeout"], told["proxy"], told.get("retries", "")) == ("7", "file:1", "")
    home = Path.home()
    assert (told["cert"], told["client-cert"]) == (str(home / "ca.pem"), str(home / "own.pem"))


class Index(SimpleHTTPRequestHandler):
    """A package index of one package, over TLS."""

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _write_wheel(folder: Path) -> str:
    """A package of one empty module; the hash of its wheel."""
    folder.mkdir(parents=True)
    wheel = folder / "nothing_here-1.0-py3-none-any.whl"
    info = "nothing_here-1.0.dist-info"
    files = {
        "nothing_here.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: nothing-here\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    lines = [f"{info}/RECORD,,"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
            digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest())
            lines.append(f"{name},sha256={digest.rstrip(b'=').decode()},{len(text)}")
        archive.writestr(f"{info}/RECORD", "\n".join(lines) + "\n")
    (folder / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[tuple[str, Path, str]]:
    """The address of an index, the certificate to trust, and the hash of its package."""
    try:
        authority = Authority(tmp_path / "certificates", "authority")
    except Unavailable as reason:
        pytest.skip(str(reason))
    own = authority.issue("index", "DNS:localhost")
    digest = _write_wheel(tmp_path / "index" / "nothing-here")
    handler = partial(Index, directory=str(tmp_path / "index"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.certificate, own.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"https://localhost:{server.server_port}/", authority.certificate, digest
    server.shutdown()
    server.server_close()
    thread.join()


def test_uv_installs_from_where_only_the_configuration_of_pip_leads(
    index: tuple[str, Path, str], tmp_path: Path
) -> None:
    address, certificate, digest = index
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nindex-url = {address}\ncert = {certificate}\n")
    pins = tmp_path / "pins.txt"
    pins.write_text(f"nothing-here==1.0 --hash=sha256:{digest}\n")
    target = tmp_path / "installed"
    arguments = ["--no-config", "pip", "install", "--no-cache", "--require-hashes", "-r", str(pins)]

    done = subprocess.run(
        [sys.executable, str(FILE), "uv", *arguments, "--target", str(target)],
        env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": str(configuration)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert (target / "nothing_here.py").is_file()
