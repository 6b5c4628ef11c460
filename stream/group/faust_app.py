"""The Faust app: one group, one table, and none of the Faust services that we do not use."""

import uuid
from pathlib import Path

import faust
from faust.auth import OAuthCredentials

from stream.group.faust_driver import PromptTableManager
from stream.kafka.security import client_options
from stream.settings import KafkaSettings, WorkerSettings

_FETCH_BYTES = 4 << 20  # per partition and request; 1 MiB halves the throughput of a catch-up


App = faust.App


def build_app(settings: WorkerSettings, partitions: int, instance_id: str) -> App:
    """Build the app of one group member; joins nothing yet.

    The table `state` gives the changelog its name and makes Faust assign its partitions together
    with those of the events topic. Faust never reads or writes its contents; the handler does.
    """
    app = faust.App(
        settings.group,
        broker=[f"kafka://{broker.strip()}" for broker in settings.bootstrap.split(",")],
        broker_credentials=_credentials(settings),
        store="memory://",
        datadir=str(_data_directory(settings.state_dir)),
        canonical_url=f"http://{instance_id}",  # by which Faust's assignor tells members apart
        consumer_group_instance_id=instance_id if settings.static_membership else None,
        consumer_max_fetch_size=_FETCH_BYTES,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / 3,
        topic_partitions=partitions,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_recovery_delay=0.0,
        stream_wait_empty=False,
        recovery_consistency_check=False,
        TableManager=PromptTableManager,
        processing_guarantee="at_least_once",
        autodiscover=False,
        web_enabled=False,
        loghandlers=[],
    )
    app.Table("state", partitions=partitions, key_type=bytes, value_type=bytes)
    return app


def _data_directory(state_dir: Path) -> Path:
    path = state_dir / "faust"
    path.mkdir(parents=True, exist_ok=True)
    return path


def _credentials(settings: KafkaSettings) -> faust.types.auth.CredentialsT | None:
    """The credentials of every client of ours, as Faust's type; refused for the same reasons."""
    options = client_options(settings)
    context = options.get("ssl_context")
    if "sasl_oauth_token_provider" in options:
        return OAuthCredentials(oauth_cb=options["sasl_oauth_token_provider"], ssl_context=context)
    if "sasl_mechanism" in options:
        return faust.SASLCredentials(
            username=options["sasl_plain_username"],
            password=options["sasl_plain_password"],
            mechanism=options["sasl_mechanism"],
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context=context)


def instance_id_of(state_dir: Path) -> str:
    """A name stored in the state directory: a restarted worker is the same static member."""
    path = state_dir / "instance_id"
    if not path.exists():
        path.write_text(uuid.uuid4().hex, encoding="ascii")
    return path.read_text(encoding="ascii").strip()
