"""The subcommands of `lately`: what each takes, and who does the work."""

from pathlib import Path
from typing import Annotated

import typer

from model.cli import commands as model_commands
from model.sequence import Sequence
from stream.config_page import ShownSettings, show
from stream.options import with_settings
from stream.settings import KafkaSettings, WorkerSettings

app = typer.Typer(
    help="What each shopper is into, lately: a streaming scorer for online shops.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _read_sequence(source: str, state_dir: Path | None) -> Sequence:
    from stream.reader import read_sequence  # late: RocksDB takes its time

    return read_sequence(source, state_dir)


model_commands(app, _read_sequence)
config = typer.Typer(help="What is set.", no_args_is_help=True)
app.add_typer(config, name="config")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
@with_settings(WorkerSettings)
def worker(settings: WorkerSettings) -> None:
    """Score shoppers: read events, keep sequences, publish scores, until stopped."""
    from stream import logs, process

    logs.configure(settings.log_format, settings.log_level)
    process.run(settings)


@app.command()
@with_settings(KafkaSettings)
def topics(
    settings: KafkaSettings,
    create: Annotated[bool, typer.Option("--create", help="Make the missing ones.")] = False,
    partitions: Annotated[int | None, typer.Option(help="Partitions of new topics.")] = None,
    replication: Annotated[int | None, typer.Option(help="Copies of each partition.")] = None,
    as_json: Json = False,
) -> None:
    """Look whether the topics fit, and make those that are missing."""
    from stream.topics import topics as preflight

    code = preflight(
        settings,
        create_missing=create,
        partitions=partitions,
        replication=replication,
        as_json=as_json,
    )
    raise typer.Exit(code)


@app.command()
@with_settings(KafkaSettings)
def replay(
    settings: KafkaSettings,
    events: Annotated[list[Path], typer.Argument(help="Event logs: .jsonl, .csv, .parquet.")],
    speed: Annotated[str, typer.Option(help="Times the pace of the log; max: at once.")] = "1",
    now: Annotated[bool, typer.Option("--now", help="Move the log to the present.")] = False,
    as_json: Json = False,
) -> None:
    """Send an event log into the events topic, at its own pace or faster."""
    from stream.replay import replay as send

    send(settings, events, speed=speed, now=now, as_json=as_json)


@app.command()
@with_settings(KafkaSettings)
def watch(
    settings: KafkaSettings,
    user: Annotated[str | None, typer.Argument(help="Only this user.")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Not only new ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show scores as they come, until Ctrl-C."""
    from stream.watch import watch as show

    show(settings, user, from_beginning=from_beginning, as_json=as_json)


@config.command("show")
@with_settings(ShownSettings)
def config_show(settings: ShownSettings, context: typer.Context, as_json: Json = False) -> None:
    """Show each setting, and where it comes from; secrets as asterisks."""
    given = {name for name, value in context.params.items() if value is not None}
    show(settings, given, as_json=as_json)


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="End by itself.")] = None,
    events_per_s: Annotated[float, typer.Option(min=1, help="How busy the shop is.")] = 50.0,
    shoppers: Annotated[int | None, typer.Option(min=1, help="How many there are.")] = None,
) -> None:
    """A shop, a broker and a worker, live in this terminal, until Ctrl-C."""
    from stream.demo import Options
    from stream.demo import demo as show

    raise typer.Exit(show(Options(seconds, events_per_s, shoppers)))
