"""One format for every library, repeated lines suppressed, no user named."""

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError

from stream.logs import RepeatLimit, configure, set_context


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def error(template: str, *args: object, name: str = "aiokafka") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, template, args, None)


def json_lines(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_nine_hundred_lines_of_one_outage_are_one_line() -> None:
    limit = RepeatLimit(clock=Clock())
    template = "Unable connect to node with id %s: %s"

    assert sum(limit.filter(error(template, 1, attempt)) for attempt in range(900)) == 1


def test_a_librarys_next_line_after_its_interval_counts_those_held_back() -> None:
    clock = Clock()
    limit = RepeatLimit(library_s=300, clock=clock)
    for attempt in range(900):
        limit.filter(error("Unable connect to node with id %s", attempt))
    clock.now_s += 300

    late = error("Unable connect to node with id %s", 900)

    assert limit.filter(late)
    assert vars(late)["suppressed"] == 900 - 1


def test_an_outage_of_four_minutes_is_a_line_of_each_kind_and_one_of_each_new_cause() -> None:
    clock = Clock()
    limit = RepeatLimit(clock=clock)
    template = "Failed fetch messages from %s: %s"
    shown = []
    for tenth in range(240 * 10):
        cause = NodeNotReadyError() if tenth else KafkaConnectionError()
        shown += [cause] * limit.filter(error(template, 1, cause))
        clock.now_s += 0.1

    # What ended the connection, and that there is none since.
    assert [type(cause) for cause in shown] == [KafkaConnectionError, NodeNotReadyError]


def test_our_own_lines_come_again_sooner_than_those_of_libraries() -> None:
    clock = Clock()
    limit = RepeatLimit(every_s=10, library_s=300, clock=clock)
    assert limit.filter(error("no broker", name="stream.worker"))
    assert limit.filter(error("no broker", name="aiokafka.client"))
    clock.now_s += 10

    assert limit.filter(error("no broker", name="stream.worker"))
    assert not limit.filter(error("no broker", name="aiokafka.client"))


def test_another_template_another_logger_and_what_is_critical_pass() -> None:
    limit = RepeatLimit(every_s=10, clock=Clock())
    assert limit.filter(error("Unable connect to node with id %s", 1))

    assert limit.filter(error("Heartbeat failed: %s", 1))
    assert limit.filter(error("Unable connect to node with id %s", 1, name="faust"))
    critical = logging.LogRecord("a", logging.CRITICAL, __file__, 1, "over", (), None)
    assert limit.filter(critical)
    assert limit.filter(critical)


def test_information_is_not_held_back() -> None:
    limit = RepeatLimit(every_s=10, clock=Clock())
    line = logging.LogRecord("a", logging.INFO, __file__, 1, "partition %s assigned", (1,), None)

    assert limit.filter(line)
    assert limit.filter(line)


def test_our_lines_and_those_of_libraries_are_json_objects_of_one_form() -> None:
    output = io.StringIO()
    configure("json", "info", output)

    structlog.get_logger("stream.worker").info("ready", partitions=4)
    logging.getLogger("aiokafka.client").error("Unable connect to node with id %s", 1)

    ours, theirs = json_lines(output)
    assert (ours["event"], ours["level"], ours["logger"], ours["partitions"]) == (
        ("ready", "info", "stream.worker", 4)
    )
    assert theirs["event"] == "Unable connect to node with id 1"
    assert set(theirs) == set(ours) - {"partitions"}


@pytest.mark.parametrize("name", ["aiokafka", "stream.worker"])
def test_repeated_lines_are_limited_and_counted_whoever_writes_them(name: str) -> None:
    output, clock = io.StringIO(), Clock()
    configure("json", "info", output, clock)
    log = structlog.get_logger(name) if name == "stream.worker" else logging.getLogger(name)

    for _ in range(50):
        log.error("no broker")
    clock.now_s += 10 if name == "stream.worker" else 300
    log.error("no broker")

    assert [(line["event"], line.get("suppressed")) for line in json_lines(output)] == (
        [("no broker", None), ("no broker", 50 - 1)]
    )


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_every_line_of_every_thread_names_instance_group_and_version(log_format: Any) -> None:
    output = io.StringIO()
    configure(log_format, "info", output)
    set_context(group="shop", instance="w1", version="1.2.3")

    structlog.get_logger("stream.worker").info("ready")
    library = logging.getLogger("aiokafka.client")
    thread = threading.Thread(target=lambda: library.error("no broker at %s", 1))
    thread.start()
    thread.join()

    lines = output.getvalue().splitlines()
    assert len(lines) == 2
    if log_format == "json":
        said = [json.loads(line) for line in lines]
        assert [(s["group"], s["instance"], s["version"]) for s in said] == (
            [("shop", "w1", "1.2.3")] * 2
        )
    else:
        assert all("group=shop instance=w1" in line and "version=1.2.3" in line for line in lines)


def test_another_configuration_begins_without_the_context_of_the_last() -> None:
    output = io.StringIO()
    set_context(group="shop")
    configure("json", "info", output)

    structlog.get_logger("stream.worker").info("ready")

    assert "group" not in json_lines(output)[0]


def test_libraries_chatter_only_when_debugging() -> None:
    output = io.StringIO()
    configure("json", "info", output)
    logging.getLogger("faust.app").info("starting a service")
    assert output.getvalue() == ""

    configure("json", "debug", output)
    logging.getLogger("faust.app").info("starting a service")
    assert len(json_lines(output)) == 1


def test_what_aiokafka_sends_is_not_written_even_when_debugging() -> None:
    output = io.StringIO()
    configure("json", "debug", output)

    logging.getLogger("aiokafka.conn").debug("Request %s", "with canary-7 in it")

    assert output.getvalue() == ""


@pytest.mark.parametrize("log_format", ["plain", "json"])
def test_a_shopper_is_never_named_even_by_a_traceback(log_format: Any) -> None:
    output = io.StringIO()
    configure(log_format, "debug", output)
    log = structlog.get_logger("stream")

    log.info("scored", user_id="canary-7", key=b"canary-7")
    user = "canary-7"
    try:
        state_of(user)
    except RuntimeError as error:
        log.exception("batch failed")
        # As mode does when a service of Faust's crashes.
        logging.getLogger("faust").exception("Crashed reason=%r", error.__cause__)

    assert "KeyError" in output.getvalue()
    assert "RuntimeError" in output.getvalue()
    assert "in state_of" in output.getvalue()
    assert "canary-7" not in output.getvalue()


def state_of(user: str) -> int:
    states: dict[str, int] = {}
    try:
        return states[user]
    except KeyError as error:
        raise RuntimeError(f"no state of {user}") from error


def test_what_a_broker_says_is_told_for_it_names_no_shopper() -> None:
    output = io.StringIO()
    configure("plain", "info", output)

    try:
        raise KafkaConnectionError("no route to broker-1:9092")
    except KafkaConnectionError:
        logging.getLogger("stream").exception("no broker")

    assert "no route to broker-1:9092" in output.getvalue()


def test_plain_lines_have_no_colours_off_a_terminal() -> None:
    output = io.StringIO()
    configure("plain", "info", output)

    structlog.get_logger("stream.worker").info("ready", partitions=4)

    assert "\x1b" not in output.getvalue()
    assert "partitions=4" in output.getvalue()
