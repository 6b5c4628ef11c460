"""Settings: every setting of the stream, with its default, unit and description."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from stream.addresses import Address, without_scheme
from stream.sources import Settings
from stream.user_state import Rules

DEFAULT_ACTIONS = ("click", "cart", "buy")  # where no model says what it knows
MAX_ACTIONS = 255  # a state has a byte for the action


Core = Literal["auto", "native", "python"]
Compression = Literal["none", "lz4", "zstd", "gzip"]

_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_LONGEST_NAME = 249


def _check_topic(name: str) -> str:
    if not _NAME.fullmatch(name) or name in (".", "..") or len(name) > _LONGEST_NAME:
        raise ValueError(
            f"{name[:40]!r} is no name that a topic can have: letters, digits, dots, _ and -, at "
            f"most {_LONGEST_NAME}"
        )
    return name


def _check_group(name: str) -> str:
    longest = _LONGEST_NAME - len(_CHANGELOG)
    if not _NAME.fullmatch(name) or name in (".", "..") or len(name) > longest:
        raise ValueError(
            f"{name[:40]!r} is no name that a group can have, which also names its changelog and "
            f"its folder: letters, digits, dots, _ and -, at most {longest}"
        )
    if name in _NOT_OURS:
        raise ValueError(
            f"{name!r} is no name that a group can have: a file or folder in the state directory "
            "is called so"
        )
    return name


_CHANGELOG = "-state-changelog"  # as Faust names the one of a table ``state``
_NOT_OURS = ("faust", "instance_id")  # what a state directory has beside the folder of a group
Topic = Annotated[str, AfterValidator(_check_topic)]
Group = Annotated[str, AfterValidator(_check_group)]  # also in a topic's name, and a folder's


class KafkaSettings(Settings):
    """The brokers, how to authenticate, and the names of our topics."""

    bootstrap: str = Field("localhost:9092", description="Kafka brokers, HOST:PORT[,HOST:PORT…]")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="security protocol of the brokers"
    )
    ssl_ca_file: Path | None = Field(None, description="certificate authorities to trust (PEM)")
    ssl_cert_file: Path | None = Field(None, description="client certificate (PEM)")
    ssl_key_file: Path | None = Field(
        None, description="private key of the client certificate (PEM)"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "PLAIN", description="SASL mechanism"
    )
    sasl_username: str | None = Field(None, description="SASL user")
    sasl_password: SecretStr | None = Field(
        None, description="SASL password; prefer a file, LATELY_SASL_PASSWORD_FILE"
    )
    sasl_token_file: Path | None = Field(
        None, description="file with the OAUTHBEARER token, read again at each authentication"
    )
    events_topic: Topic = Field("lately.events", description="topic to read events from")
    scores_topic: Topic = Field("lately.scores", description="topic to write scores to")
    dead_topic: Topic = Field("lately.events.dead", description="topic of dead letters")
    receipts_topic: Topic = Field("lately.receipts", description="topic of receipts for `forget`")
    group: Group = Field("lately", description="consumer group; also names the changelog")
    idempotence: bool = Field(
        True, description="idempotent producer; turn off only for brokers without support"
    )

    @property
    def brokers(self) -> list[Address]:
        """The addresses in ``bootstrap``."""
        return [Address.parse(broker.strip()) for broker in self.bootstrap.split(",")]

    @property
    def changelog_topic(self) -> str:
        """The changelog of the state."""
        return f"{self.group}{_CHANGELOG}"

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics of events, scores, dead letters and receipts, and the changelog."""
        own = (self.events_topic, self.scores_topic, self.dead_topic, self.receipts_topic)
        return (*own, self.changelog_topic)

    @model_validator(mode="before")
    @classmethod
    def _bootstrap_without_schemes(cls, values: Any) -> Any:
        bootstrap = values.get("bootstrap")
        if isinstance(bootstrap, str):
            protocol = str(values.get("security_protocol", "PLAINTEXT"))
            brokers = (without_scheme(broker, protocol) for broker in bootstrap.split(","))
            values = {**values, "bootstrap": ",".join(brokers)}
        return values

    @model_validator(mode="after")
    def _bootstrap_names_ports(self) -> Self:
        for broker in self.bootstrap.split(","):
            try:
                port = Address.parse(broker.strip()).port
            except ValueError:
                port = 0
            if port == 0:
                raise ValueError(
                    f"bootstrap: {broker!r} is not HOST:PORT; set --bootstrap or LATELY_BOOTSTRAP"
                )
        return self

    @model_validator(mode="after")
    def _topics_differ(self) -> Self:
        for topic in self.topics:
            if self.topics.count(topic) > 1:
                raise ValueError(
                    "events_topic, scores_topic, dead_topic, receipts_topic and the changelog must "
                    f"differ, and {topic} is two of them; set --events-topic, --scores-topic, "
                    "--dead-topic or --receipts-topic"
                )
        return self

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Self:
        if not self.security_protocol.startswith("SASL"):
            return self
        if self.sasl_mechanism == "OAUTHBEARER":
            if self.sasl_token_file is None:
                raise ValueError(
                    "sasl_mechanism is OAUTHBEARER, but there is no token; "
                    "set LATELY_SASL_TOKEN_FILE"
                )
        elif not (self.sasl_username and self.sasl_password):
            raise ValueError(
                f"security_protocol is {self.security_protocol}, but there is no user and "
                "password; set LATELY_SASL_USERNAME and LATELY_SASL_PASSWORD_FILE"
            )
        return self


def _check_address(text: str) -> str:
    Address.parse(text)
    return text


def _check_actions(names: Any) -> Any:
    if isinstance(names, str):
        names = tuple(name.strip() for name in names.split(","))
    if names is None:
        return None
    if not names or "" in names or len(set(names)) < len(names):
        raise ValueError("names must be non-empty and different")
    if "forget" in names:
        raise ValueError("forget is reserved for erasure")
    if len(names) > MAX_ACTIONS:
        raise ValueError(f"at most {MAX_ACTIONS} names")
    return names


Actions = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_check_actions)]
HttpAddress = Annotated[str, AfterValidator(_check_address)]


class ActionSettings(Settings):
    """Which actions are accepted."""

    actions: Actions = Field(
        None, description="accepted actions, comma separated; default: those the model knows"
    )


class LengthSettings(Settings):
    """How much of a user is kept, on which depends how large a record of the changelog can be."""

    sequence_length: int = Field(50, ge=1, le=1000, description="actions kept per user")


class TopicsSettings(KafkaSettings, LengthSettings):
    """The brokers, and what their topics must have room for."""


class DoctorSettings(TopicsSettings, ActionSettings):
    """The settings of `lately doctor`: those of a worker, each optional."""

    artifact: Path | None = Field(None, description="folder of the model")
    state_dir: Path | None = Field(None, description="folder for RocksDB")
    http: HttpAddress = Field("127.0.0.1:8090", description="where the worker serves HTTP")


class StateSettings(KafkaSettings):
    """The brokers, and the folder of a worker's state."""

    state_dir: Path = Field(description="folder for RocksDB; one per worker")


class JudgementSettings(Settings):
    """The settings by which an event counts or not."""

    dedupe_window: int = Field(
        64, ge=0, le=1000, description="event_ids remembered per user to skip duplicates"
    )
    allowed_lateness_ms: int = Field(
        3_600_000,
        ge=0,
        description="an event older than the user's newest action by more is not kept",
    )
    max_future_ms: int = Field(
        300_000, ge=0, description="an event time ahead of its record's by more is clamped to it"
    )
    ttl_s: int = Field(30 * 86_400, ge=60, description="a user inactive for longer starts over")
    max_message_bytes: int = Field(65_536, ge=1024, description="a larger message is a dead letter")

    def rules_of(self, sequence_length: int) -> Rules:
        """The rules of time and memory, in the units of the state, for so many actions a user."""
        return Rules(
            sequence_length,
            self.dedupe_window,
            self.allowed_lateness_ms,
            self.max_future_ms,
            self.ttl_s * 1000,
        )


class FoldSettings(LengthSettings, JudgementSettings):
    """The settings that change a user's sequence."""

    @property
    def rules(self) -> Rules:
        """The rules of time and memory, in the units of the state."""
        return self.rules_of(self.sequence_length)


class WorkerSettings(StateSettings, FoldSettings, ActionSettings):
    """Every setting of the worker."""

    artifact: Path = Field(description="folder of the model, made by `lately train`")
    artifact_poll_s: float = Field(
        5.0, ge=0, le=3600, description="interval to check for a new model; 0: only on SIGHUP"
    )
    http: HttpAddress = Field(
        "127.0.0.1:8090", description="where /livez, /readyz and /metrics are served"
    )
    scorer: Literal["onnx", "torch", "null"] = Field(
        "onnx", description="engine: onnx (CPU), torch (GPU if there is one), null (benchmarks)"
    )
    device: str | None = Field(
        None, description="device of the torch engine: cpu, cuda, cuda:N; default: the GPU if any"
    )
    instance_id: str | None = Field(
        None,
        description="static group membership: an id that this worker keeps over restarts; "
        "default: generated once and kept in the state directory",
    )
    static_membership: bool = Field(
        True,
        description="keep the place in the group over a restart; turn off only for brokers without "
        "support",
    )

    exclude_seen: bool = Field(False, description="leave out items that are in the sequence")
    allowed_items: Path | None = Field(
        None, description="score only these items: a file with one id per line, or a JSON list"
    )
    blocked_items: Path | None = Field(
        None, description="never score these items: a file with one id per line, or a JSON list"
    )
    max_per_category: int | None = Field(
        None, ge=1, description="most items of one category in a score"
    )
    diversity: float = Field(
        0.0, ge=0, le=1, description="0: the likeliest items; 1: as many categories as possible"
    )
    recency_temperature: float = Field(
        1.0, ge=0.01, le=100, description="below 1 favours the newest items, above 1 the oldest"
    )
    user_vector: bool = Field(False, description="add the model's vector of the user to the score")

    forget_marker_s: float = Field(
        600.0,
        ge=0,
        le=86_400,
        description="how long late records of a lost worker cannot undo a forget",
    )

    batch_deadline_ms: int = Field(
        200, ge=0, le=60_000, description="the longest a user waits for a batch to close"
    )
    batch_users: int | None = Field(
        None,
        ge=1,
        description="close a batch at this many users; default: measured at the first start",
    )
    max_pending_users: int = Field(
        50_000, ge=1, description="pause partitions while more users than this wait"
    )
    shed_after_ms: int | None = Field(
        None,
        ge=1,
        description="users who wait longer get degraded scores: shorter lists, or popularity "
        "after twice as long; default: never",
    )
    compression: Compression = Field(
        "none", description="compression of records we write: less traffic and disk, more CPU"
    )
    core: Core = Field(
        "auto",
        description="what does the work for each event: the native core, or Python, which gives "
        "the same bytes; auto takes the native core where it is installed",
    )
    max_in_flight: int = Field(3, ge=1, le=64, description="batches scored but not yet written")
    cache_users: int = Field(200_000, ge=1, description="decoded users kept in memory")
    commit_interval_s: float = Field(1.0, gt=0, le=60, description="time between offset commits")
    scoring_timeout_s: float = Field(
        30.0, gt=0, description="a micro-batch that takes longer ends the worker"
    )
    delivery_timeout_s: float = Field(
        120.0, gt=0, description="records unacknowledged for longer end the worker"
    )
    session_timeout_s: float = Field(10.0, ge=1, description="group session timeout")
    drain_timeout_s: float = Field(6.0, gt=0, le=9, description="time to finish work on SIGTERM")

    log_format: Literal["plain", "json"] = Field(
        "plain", description="log lines for people (plain) or programs (json)"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="log level")

    @model_validator(mode="after")
    def _shedding_leaves_time_to_close(self) -> Self:
        after_ms, deadline_ms = self.shed_after_ms, self.batch_deadline_ms
        if after_ms is not None and after_ms <= deadline_ms:
            raise ValueError(
                f"shed_after_ms: {after_ms} is not above batch_deadline_ms, {deadline_ms}, so all "
                "scores would be degraded; raise --shed-after-ms or LATELY_SHED_AFTER_MS"
            )
        return self
