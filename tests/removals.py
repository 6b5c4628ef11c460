"""The removals: takes each security control out of a copy of Lately, and sees its test fail.

``python -m tests.removals [--kafka]``. A control whose test still passes without it is guarded by
nothing; docs/security.md says which test guards which. With ``--kafka`` those of a broker, too.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import typer

from tests.tree_copy import copy_tree, run_pytest

AT_ONCE = 2
FAILED = 1  # pytest's exit code when tests ran, and one failed
BROKER = (
    "tests/kafka/test_security.py::test_whoever_is_refused_ends_in_one_line_and_commits_nothing"
)


class Removal(NamedTuple):
    """A control, the text that is it, what is left without it, and the test that must notice."""

    control: str
    file: str
    text: str
    without: str
    test: str
    kafka: bool = False


REMOVALS = [
    Removal(
        "the broker's authority is checked",
        "stream/kafka/security.py",
        "    if settings.ssl_cert_file:\n",
        "    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n"
        "    if settings.ssl_cert_file:\n",
        f"{BROKER}[another authority-1-certificate is not trusted]",
        kafka=True,
    ),
    Removal(
        "the broker's host name is checked",
        "stream/kafka/security.py",
        "    if settings.ssl_cert_file:\n",
        "    context.check_hostname = False\n    if settings.ssl_cert_file:\n",
        f"{BROKER}[another host-1-certificate is for another host]",
        kafka=True,
    ),
    Removal(
        "a refusal ends the start",
        "stream/kafka/connection_errors.py",
        "            if cause := _permanent_cause(error, settings):\n",
        "            if cause := None:\n",
        f"{BROKER}[a wrong password by PLAIN-1-refuses our user and password by PLAIN]",
        kafka=True,
    ),
    Removal(
        "a shopper's id is not told by a failing worker",
        "stream/redaction.py",
        "_SAFE_TEXTS = (LatelyError, KafkaError, OSError)",
        "_SAFE_TEXTS = (Exception,)",
        "tests/kafka/test_security.py::test_a_worker_that_fails_by_a_shoppers_id_does_not_say_it",
        kafka=True,
    ),
    Removal(
        "a token is read again at each authentication",
        "stream/kafka/security.py",
        "            return await asyncio.to_thread(read_token, self._path)\n",
        "            self._kept = getattr(self, '_kept', None) or read_token(self._path)\n"
        "            return self._kept\n",
        "tests/stream/kafka/test_security.py::test_a_token_is_read_again_at_each_authentication",
    ),
    Removal(
        "SASL without TLS is refused off loopback",
        "stream/kafka/security.py",
        "        _require_tls_off_loopback(settings)\n",
        "",
        "tests/stream/kafka/test_security.py::test_a_password_in_the_clear_over_a_network_is_refused",
    ),
    Removal(
        "a token without TLS is refused off loopback",
        "stream/kafka/security.py",
        "        if not _is_loopback(host):\n",
        "        if not _is_loopback(host) and settings.sasl_mechanism != 'OAUTHBEARER':\n",
        "tests/stream/kafka/test_security.py::test_a_token_in_the_clear_over_a_network_is_refused",
    ),
    Removal(
        "a secret is shown as asterisks",
        "stream/commands/config.py",
        "        return HIDDEN\n",
        "        return value.get_secret_value()\n",
        "tests/stream/commands/test_config.py::test_a_secret_is_asterisks_and_its_file_is_named",
    ),
    Removal(
        "a secret is no flag",
        "stream/cli/options.py",
        "        if SecretStr not in get_args(field.annotation)\n",
        "",
        "tests/stream/cli/test_options.py::test_a_secret_is_no_option",
    ),
    Removal(
        "fields that name a shopper are withheld",
        "stream/redaction.py",
        '        fields[name] = "(withheld)"\n',
        "        pass\n",
        "tests/stream/test_logs.py",
    ),
    Removal(
        "texts of exceptions are withheld",
        "stream/redaction.py",
        '    return f"{name}: {error}" if isinstance(error, _SAFE_TEXTS) else name\n',
        '    return f"{name}: {error}"\n',
        "tests/stream/test_logs.py::test_a_shopper_is_never_named_even_by_a_traceback",
    ),
    Removal(
        "what aiokafka sends is not written",
        "stream/logs.py",
        '"INFO" if level == "debug" else "WARNING"',
        '"DEBUG" if level == "debug" else "WARNING"',
        "tests/stream/test_logs.py::test_what_aiokafka_sends_is_not_written_even_when_debugging",
    ),
    Removal(
        "no label has a shopper's id",
        "stream/metrics.py",
        "        self.duplicates_skipped = Counter(\n",
        "        seen = Counter('lately_seen', 'Seen.', ['user'], registry=self._registry)\n"
        "        seen.labels('u1').inc()\n"
        "        self.duplicates_skipped = Counter(\n",
        "tests/stream/test_metrics.py::test_no_label_has_a_value_that_a_message_brings",
    ),
    Removal(
        "ONNX Runtime tells its maker nothing",
        "model/onnx_session.py",
        'os.environ["ORT_DISABLE_TELEMETRY"] = "1"\n',
        "",
        "tests/model/serving/test_onnx.py::test_serving_sends_no_telemetry",
    ),
    Removal(
        "a pseudonym takes the key",
        "model/data/pseudonyms.py",
        '        self._keyed = hmac.new(key, digestmod="sha256")\n',
        '        self._keyed = hmac.new(b"known", digestmod="sha256")\n',
        "tests/model/data/test_pseudonyms.py",
    ),
    Removal(
        "nothing but health and metrics is served",
        "stream/worker/http.py",
        '        app.router.add_get("/livez", self._livez)\n',
        '        app.router.add_get("/livez", self._livez)\n'
        '        app.router.add_get("/state", self._livez)\n'
        '        app.router.add_get("/table", self._livez)\n'
        '        app.router.add_get("/", self._livez)\n',
        "tests/stream/worker/test_http.py::test_nothing_else_is_served",
    ),
    Removal(
        "loopback alone is answered",
        "stream/settings.py",
        '        "127.0.0.1:8090", description="where /livez',
        '        "0.0.0.0:8090", description="where /livez',
        "tests/stream/worker/test_http.py::test_unless_told_otherwise_only_this_machine_is_answered",
    ),
    Removal(
        "a message has a size",
        "stream/events.py",
        "    if len(value) > max_bytes:\n",
        "    if False:\n",
        "tests/stream/test_events.py::test_each_fault_has_its_reason",
    ),
    Removal(
        "JSON has a depth",
        "stream/events.py",
        "        if depth > MAX_DEPTH:\n",
        "        if False:\n",
        "tests/stream/test_events.py::test_nesting_has_a_floor",
    ),
    Removal(
        "an id has a length",
        "stream/events.py",
        "_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]",
        "_Id = str",
        "tests/stream/test_events.py::test_what_is_needed_is_a_text_of_the_right_length",
    ),
    Removal(
        "a header's name may be of any bytes",
        "stream/kafka/fetching/lenient_headers.py",
        "        fetcher.PartitionRecords = LenientRecords\n",
        "        pass\n",
        "tests/stream/kafka/fetching/test_lenient_headers.py",
    ),
    Removal(
        "every hash is checked",
        "model/artifact/artifact.py",
        "        if found.sha256 != expected.sha256:\n",
        "        if False:\n",
        "tests/model/artifact/test_artifact.py::test_a_flipped_bit_in_any_file_is_refused",
    ),
    Removal(
        "hashes are checked before anything is parsed",
        "model/artifact/artifact.py",
        "            artifact._check_file(name, proof)\n        return artifact\n",
        "            if name.endswith('.json'):\n"
        "                parse_object((Path(folder) / name).read_bytes(), MAX_TABLE_BYTES)\n"
        "            artifact._check_file(name, proof)\n        return artifact\n",
        "tests/model/artifact/test_artifact.py::test_no_byte_is_parsed_before_every_hash_is_checked",
    ),
    Removal(
        "no file that may run code is sealed",
        "model/artifact/artifact.py",
        "            return {check_name(entry.name): FileProof.of(entry)",
        "            return {entry.name: FileProof.of(entry)",
        "tests/model/artifact/test_artifact.py::test_a_file_that_may_run_code_is_never_sealed",
    ),
    Removal(
        "an auditor that sees nothing is not believed",
        "requirements/audit.py",
        "        check_sight()\n",
        "",
        "tests/test_audit.py",
    ),
]


def notices(removal: Removal) -> str:
    """Why nobody would notice, or nothing."""
    with TemporaryDirectory(prefix="lately-removal-") as folder:
        copy = Path(folder)
        copy_tree(copy)
        file = copy / removal.file
        text = file.read_text(encoding="utf-8")
        if text.count(removal.text) != 1:
            return f"{removal.file} has the text {text.count(removal.text)} times, expected once"
        file.write_text(text.replace(removal.text, removal.without), encoding="utf-8")
        result = run_pytest(copy, [removal.test])
    # An error while a test is set up ends pytest in the same way, and says nothing of the control.
    failed = any(line.startswith("FAILED") for line in result.failed)
    return "" if result.code == FAILED and failed else str(result)


def untouched(tests: Iterable[str]) -> str:
    """Why these tests fail already while every control is in its place, or nothing."""
    with TemporaryDirectory(prefix="lately-removal-") as folder:
        copy_tree(Path(folder))
        result = run_pytest(Path(folder), sorted(set(tests)))
    return "" if result.code == 0 else str(result)


def main(
    kafka: Annotated[bool, typer.Option(help="Those that need a broker, too.")] = False,
    only: Annotated[str, typer.Option(help="Those whose control has this text.")] = "",
) -> None:
    """Take each control out, and say whether its test noticed."""
    chosen = [r for r in REMOVALS if (kafka or not r.kafka) and only in r.control]
    if why := untouched([removal.test for removal in chosen]):
        typer.echo(f"a test fails with every control in its place: {why}")
        raise typer.Exit(1)
    unnoticed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for removal, why in zip(chosen, pool.map(notices, chosen), strict=True):
            typer.echo(f"{'UNNOTICED' if why else 'noticed':<10} {removal.control}")
            if why:
                typer.echo(f"           {removal.test}: {why}")
                unnoticed += 1
    typer.echo(f"{len(chosen)} controls taken out, {len(chosen) - unnoticed} noticed")
    raise typer.Exit(1 if unnoticed else 0)


if __name__ == "__main__":
    typer.run(main)
