"""The subcommands of `lately`: what each takes, and who does the work."""

from typing import Annotated

import typer

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
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
@with_settings(WorkerSettings)
def worker(settings: WorkerSettings) -> None:
    """Score shoppers: read events, keep sequences, publish scores, until stopped."""
    from stream import logs
    from stream import worker as process

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
