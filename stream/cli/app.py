"""The subcommands of `lately`: their arguments, options and help texts.

Imports of the work itself are late, so that --help is fast.
"""

from pathlib import Path
from typing import Annotated

import typer

from model.cli import commands as model_commands
from model.sequence import Sequence
from stream.cli.help import Commands, arrange
from stream.cli.options import with_settings
from stream.commands.config import ShownSettings, show
from stream.export.settings import ExportSettings
from stream.settings import (
    DoctorSettings,
    KafkaSettings,
    StateSettings,
    TopicsSettings,
    WorkerSettings,
)

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from stream.version import VERSION

        print(f"lately {VERSION}")
        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version),
]


@app.callback()
def lately(version: Version = False) -> None:
    """What each shopper is into, lately: a streaming scorer for online shops."""


def _read_sequence(source: str, state_dir: Path | None, *, is_user: bool = False) -> Sequence:
    from stream.commands.read_sequence import read_sequence

    return read_sequence(source, state_dir, is_user=is_user)


model_commands(app, _read_sequence)
config = typer.Typer(help="Show the settings.", no_args_is_help=True)
app.add_typer(config, name="config")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
@with_settings(WorkerSettings)
def worker(settings: WorkerSettings) -> None:
    """Score shoppers: read events, keep sequences, publish scores, until stopped."""
    from stream import logs
    from stream.worker import process

    logs.configure(settings.log_format, settings.log_level)
    process.run(settings)


@app.command()
@with_settings(TopicsSettings)
def topics(
    settings: TopicsSettings,
    create: Annotated[bool, typer.Option("--create", help="Create the missing topics.")] = False,
    partitions: Annotated[int | None, typer.Option(min=1, help="Partitions of new topics.")] = None,
    replication: Annotated[
        int | None, typer.Option(min=1, help="Copies of each partition.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check whether the topics fit, and create those missing."""
    from stream.commands.topics import topics as run

    code = run(
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
    speed: Annotated[str, typer.Option(help="Multiple of the log's pace, or max.")] = "1",
    now: Annotated[bool, typer.Option("--now", help="Move the log to the present.")] = False,
    skip: Annotated[
        int, typer.Option(min=0, help="Leave out so many events, to go on after an error.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Send an event log to the events topic, at its own pace or faster."""
    from stream.commands.replay import replay as send

    send(settings, events, speed=speed, now=now, skip=skip, as_json=as_json)


@app.command()
@with_settings(ExportSettings)
def export(
    settings: ExportSettings,
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new folder for the log.")],
    since: Annotated[
        str, typer.Option(metavar="TIME", help="Events from then on: ISO 8601, or an age as 30d.")
    ],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only events before then.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the events topic as a log to train on, without who was forgotten."""
    from stream.export.export import export as write

    write(settings, out, since, until, as_json=as_json)


@app.command()
@with_settings(KafkaSettings)
def watch(
    settings: KafkaSettings,
    user: Annotated[str | None, typer.Argument(help="Only this user.")] = None,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Start with the oldest scores.")
    ] = False,
    items: Annotated[
        Path | None,
        typer.Option("--items", metavar="FILE", help="A file of items: show their titles, too."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show scores as they come, until Ctrl-C."""
    from stream.commands.watch import watch as show

    show(settings, user, items, from_beginning=from_beginning, as_json=as_json)


@config.command("show")
@with_settings(ShownSettings)
def config_show(settings: ShownSettings, context: typer.Context, as_json: Json = False) -> None:
    """Show each setting and its source; secrets as asterisks."""
    given = {name for name, value in context.params.items() if value is not None}
    show(settings, given, as_json=as_json)


@app.command()
@with_settings(KafkaSettings)
def forget(
    settings: KafkaSettings,
    users: Annotated[list[str] | None, typer.Argument(help="User ids.", metavar="USER…")] = None,
    file: Annotated[
        Path | None, typer.Option(help="A file with one user id per line; - is standard input.")
    ] = None,
    timeout_s: Annotated[float, typer.Option(min=0, help="How long to wait for receipts.")] = 30.0,
    wait: Annotated[bool, typer.Option(help="Wait for the worker's receipts.")] = True,
    as_json: Json = False,
) -> None:
    """Forget users: send an event for each, and wait for its receipt."""
    from stream.commands.forget import forget as send

    send(settings, users or [], file, timeout_s=timeout_s, wait=wait, as_json=as_json)


dead = typer.Typer(help="Show dead letters, and replay them.", no_args_is_help=True)
app.add_typer(dead, name="dead")
Reason = Annotated[str | None, typer.Option(help="Only letters of this reason.")]


@dead.command("list")
@with_settings(KafkaSettings)
def list_letters(
    settings: KafkaSettings,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=0, help="How many of the newest to show.")] = 10,
    as_json: Json = False,
) -> None:
    """Count dead letters by reason, and list the newest."""
    from stream.commands.dead import list_letters as run

    run(settings, reason=reason, limit=limit, as_json=as_json)


@dead.command("show")
@with_settings(KafkaSettings)
def show_letter(
    settings: KafkaSettings,
    location: Annotated[
        str, typer.Argument(help="As `list` shows it.", metavar="PARTITION:OFFSET")
    ],
    as_json: Json = False,
) -> None:
    """Show a dead letter: its reason, headers, key and value."""
    from stream.commands.dead import show_letter as run

    run(settings, location, as_json=as_json)


@dead.command("replay")
@with_settings(KafkaSettings)
def replay_letters(
    settings: KafkaSettings,
    locations: Annotated[
        list[str] | None, typer.Argument(help="As `list` shows them.", metavar="PARTITION:OFFSET")
    ] = None,
    reason: Reason = None,
    everything: Annotated[bool, typer.Option("--all", help="All letters.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Send the original messages of dead letters back to the events topic."""
    from stream.commands.dead import replay_letters as run

    run(
        settings,
        locations or [],
        reason=reason,
        everything=everything,
        dry_run=dry_run,
        as_json=as_json,
    )


state = typer.Typer(
    help="Show a worker's state, verify it, rebuild it, restore its changelog.",
    no_args_is_help=True,
)
app.add_typer(state, name="state")


@state.command("get")
@with_settings(StateSettings)
def get_user(
    settings: StateSettings,
    user: Annotated[str, typer.Argument(help="The user's id.")],
    as_json: Json = False,
) -> None:
    """Show a user's state on disk, also while a worker runs."""
    from stream.commands.state import get_user as run

    run(settings, user, as_json=as_json)


@state.command("verify")
@with_settings(StateSettings)
def verify_state(settings: StateSettings, as_json: Json = False) -> None:
    """Compare the state of a stopped worker with the changelog, user by user."""
    from stream.commands.state import verify_state as run

    raise typer.Exit(run(settings, as_json=as_json))


@state.command("rebuild")
@with_settings(StateSettings)
def rebuild_state(
    settings: StateSettings,
    partitions: Annotated[
        list[int] | None,
        typer.Option("-p", "--partition", min=0, help="Only this partition; may be repeated."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Wipe the state of a stopped worker, and rebuild it from the changelog."""
    from stream.commands.state import rebuild_state as run

    run(settings, partitions or [], as_json=as_json)


@state.command("restore")
@with_settings(StateSettings)
def restore_state(settings: StateSettings, as_json: Json = False) -> None:
    """Write the state of a stopped worker into a changelog that was made anew."""
    from stream.commands.restore import restore_state as run

    raise typer.Exit(run(settings, as_json=as_json))


@app.command()
@with_settings(DoctorSettings)
def doctor(settings: DoctorSettings, as_json: Json = False) -> None:
    """Check everything a worker needs, and say how to fix what is wrong."""
    from stream.commands.doctor import doctor as run

    raise typer.Exit(run(settings, as_json=as_json))


@app.command()
def demo(
    seconds: Annotated[float | None, typer.Option(min=1, help="End after this time.")] = None,
    events_per_s: Annotated[float, typer.Option(min=1, help="Events per second.")] = 50.0,
    shoppers: Annotated[int | None, typer.Option(min=1, help="Number of shoppers.")] = None,
) -> None:
    """Run a shop, a broker and a worker live in this terminal, until Ctrl-C."""
    from stream.demo.demo import Options
    from stream.demo.demo import demo as show

    raise typer.Exit(show(Options(seconds, events_per_s, shoppers)))


arrange(app)
