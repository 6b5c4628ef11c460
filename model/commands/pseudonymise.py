"""The command ``pseudonymise``: rewrites event logs with pseudonyms for users."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.commands.common import Events, need_training

if TYPE_CHECKING:
    from model.data.pseudonyms import Pseudonyms


def pseudonymise(
    events: Events,
    key: Annotated[Path, typer.Option(help="A file with the secret key, at least 16 bytes.")],
    out: Annotated[Path, typer.Option(help="The event log to write: .jsonl, .csv or .parquet.")],
) -> None:
    """Merge event logs into one, with pseudonyms for users, sessions and event ids.

    The same key gives the same pseudonyms, here and in a producer. Columns that are not in the
    contract are left out, because they might identify a person.
    """
    from model.data.pseudonyms import Pseudonyms
    from model.formats.output import EVENT_SUFFIXES, write_events

    if out.suffix not in EVENT_SUFFIXES:
        raise typer.BadParameter(f"--out {out}: expected a name with {' or '.join(EVENT_SUFFIXES)}")
    if out.exists():
        raise typer.BadParameter(f"--out {out}: already exists; name another file")
    names = Pseudonyms.from_file(key)
    need_training()
    rows = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal rows
        for path in events:
            for event in rewritten(path, names):
                rows += 1
                yield event

    write_events(counted(), out)
    typer.echo(f"{out}: {rows:,} rows with pseudonyms")


def rewritten(path: Path, names: "Pseudonyms") -> Iterator[dict[str, Any]]:
    """The rows of a log with pseudonyms, in order, read in batches; raises ``DataError``."""
    import polars as pl

    from model.data.log_files import open_log_file, polars_errors
    from model.data.pseudonyms import FIELDS
    from model.data.row import COLUMNS

    def pseudonyms(ids: pl.Series) -> pl.Series:
        known = ids.drop_nulls().unique()
        named = [names(identity) for identity in known]
        return ids.replace_strict(known, named, default=None, return_dtype=pl.String)

    frame = open_log_file(path).frame.select(COLUMNS)
    with polars_errors(path):
        for batch in frame.collect_batches(maintain_order=True):
            renamed = batch.with_columns(pseudonyms(batch[field]).alias(field) for field in FIELDS)
            for row in renamed.iter_rows(named=True):
                yield {name: value for name, value in row.items() if value is not None}
