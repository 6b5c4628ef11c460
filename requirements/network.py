"""The way to the package index: runs pip or uv so that both take the one that pip is told.

    .venv/bin/python requirements/network.py pip install -r requirements/uv.txt
    .venv/bin/python requirements/network.py uv pip install -r requirements/base.txt

pip reads its configuration files and PIP_ variables; uv reads neither. So index, proxy, certificate
and the like are handed on in uv's variables; one that is set already stays. Where nobody names a
certificate, both trust the system's store, which knows the one of a company's proxy.
"""

import ast
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# A setting of pip, uv's name for it, and what stands between several values.
SAME = (
    ("index-url", "UV_DEFAULT_INDEX", None),
    ("extra-index-url", "UV_INDEX", " "),
    ("find-links", "UV_FIND_LINKS", ","),
    ("trusted-host", "UV_INSECURE_HOST", " "),
    ("client-cert", "SSL_CLIENT_CERT", None),
    ("timeout", "UV_HTTP_TIMEOUT", None),
    ("retries", "UV_HTTP_RETRIES", None),
)
# Other names that pip has for a setting.
ALIASES = {"pypi-url": "index-url", "default-timeout": "timeout"}
# Paths, in which pip understands ~ and uv does not.
PATHS = ("cert", "client-cert")
WHOLE = ("timeout",)  # pip takes decimals, uv does not
OLD_NAMES = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}
PROXIES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")
TRUE = {"1", "true", "yes", "on", "y", "t"}
# Debian, Fedora, SUSE, Alpine: where the certificates of a Linux are.
STORES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def main() -> int:
    """Run the module named first with the other arguments; its exit code."""
    told = pip_settings()
    environment = {**os.environ, **variables(told, os.environ)}
    module, *arguments = sys.argv[1:]
    if module == "uv" and told.get("no-index", "").lower() in TRUE:
        arguments = [*(a for a in arguments if a != "--no-index"), "--no-index"]
    return subprocess.call([sys.executable, "-m", module, *arguments], env=environment)


def pip_settings() -> dict[str, str]:
    """What `pip install` would take from files and variables, by the name of its long option."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listing.splitlines():
        left, _, value = line.partition("=")
        section, _, option = left.partition(".")
        if section in found and value:
            name = option.replace("_", "-")
            found[section][ALIASES.get(name, name)] = str(ast.literal_eval(value))
    told = {option: value for settings in found.values() for option, value in settings.items()}
    told |= {option: str(Path(told[option]).expanduser()) for option in PATHS if told.get(option)}
    return told


def variables(
    told: Mapping[str, str], environment: Mapping[str, str], store: str | None = None
) -> dict[str, str]:
    """The variables that make uv, and an old pip, go where pip is told to go."""
    added = {}
    for option, name, between in SAME:
        is_set = name in environment or OLD_NAMES.get(name, name) in environment
        if (value := told.get(option, "").strip()) and not is_set:
            value = str(math.ceil(float(value))) if option in WHOLE else value
            added[name] = value if between is None else between.join(value.split())
    if "UV_FIND_LINKS" in added:
        added["UV_FIND_LINKS"] = _existing(added["UV_FIND_LINKS"])
    if "UV_INDEX" in added and "UV_INDEX_STRATEGY" not in environment:
        # As pip does: the hashes decide, whichever index has the file.
        added["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    if proxy := told.get("proxy"):
        proxy = proxy if "://" in proxy else f"http://{proxy}"
        # pip itself takes HOST:PORT for a scheme and a path.
        added |= dict.fromkeys((*PROXIES, "PIP_PROXY"), proxy)
    if told.get("user", "").lower() in TRUE:
        added["PIP_USER"] = "0"  # said for the system's Python; an environment has no such folder
    added |= _trust(told.get("cert"), environment, store or system_store())
    return {name: value for name, value in added.items() if value}


def _existing(places: str) -> str:
    """Without the folders that are not there: pip leaves them out, uv ends."""
    paths = (p if "://" in p else str(Path(p).expanduser()) for p in places.split(","))
    return ",".join(p for p in paths if "://" in p or Path(p).exists())


def _trust(of_pip: str | None, environment: Mapping[str, str], store: str | None) -> dict[str, str]:
    """What tells both which certificates to trust."""
    # In the order in which pip takes them: its library reads the first two after its settings.
    named = (
        environment.get("REQUESTS_CA_BUNDLE")
        or environment.get("CURL_CA_BUNDLE")
        or of_pip
        or environment.get("SSL_CERT_FILE")
    )
    if named:
        name = "SSL_CERT_DIR" if Path(named).is_dir() else "SSL_CERT_FILE"
        return {name: named, "PIP_CERT": named}
    if sys.platform == "darwin":
        return {"UV_SYSTEM_CERTS": "true"}  # its pip asks the system by itself
    # A Linux without certificates: the lists that pip and uv bring are all there is.
    return {"UV_SYSTEM_CERTS": "true", "PIP_CERT": store} if store else {}


def system_store() -> str | None:
    """The file with the system's certificates."""
    return next((path for path in STORES if Path(path).is_file()), None)


if __name__ == "__main__":
    sys.exit(main())
