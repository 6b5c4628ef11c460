"""The options of ``lately train``: their table, their checks and the plan they give."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.commands.common import Events, JsonFile, processes
from model.data.row import FORGET
from model.training.registry import SEQUENCE_TRAINING, TRAININGS

if TYPE_CHECKING:
    from model.config import ArtifactConfig
    from model.training.plan import Plan, Privacy, Recipe

NETWORKS = ", ".join(TRAININGS)
INTENTS = ("cart", "buy")
TUNES = ("top", "all", "lora")
EPOCHS, PRIVATE_EPOCHS = 100, 20


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """The options, one field each, in the order of the help."""

    events: Events
    out: Annotated[Path, typer.Option(help="The folder to write the artifact to.")]
    network: Annotated[str, typer.Option(help=f"One of {NETWORKS}.")] = "transformer"
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="A limit for the whole command, from reading to exporting."),
    ] = None
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Passes over the log: at most 100; with --dp-epsilon exactly 20."),
    ] = None
    items: Annotated[
        Path | None, typer.Option(help="Items: item_id, category, title and other attributes.")
    ] = None
    name: Annotated[str, typer.Option(help="The model's name in the scores.")] = "lately"
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0
    horizon_s: Annotated[
        int, typer.Option(min=1, help="Seconds within which an intent's action counts.")
    ] = 1_800
    actions: Annotated[str, typer.Option(help="All actions of the log.")] = "click,cart,buy"
    intent: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=ACTION[,ACTION]",
            help="What to predict, and the actions that count as it, such as buy=purchase,order; "
            "may be repeated. Actions called cart and buy are intents by themselves.",
        ),
    ] = None
    dim: Annotated[int, typer.Option(min=2, help="Width of the vectors, even.")] = 96
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="The newest share of the log, to validate on.")
    ] = 0.1
    tune: Annotated[
        str, typer.Option(help=f"Layers of the text encoder that bert trains: {', '.join(TUNES)}.")
    ] = "top"
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="A folder with a BERT-family text encoder, to replace the one installed."
        ),
    ] = None
    refit: Annotated[
        bool, typer.Option(help="In the end, train again with the newest share included.")
    ] = True
    checkpoints: Annotated[
        Path | None, typer.Option(help="A folder for checkpoints, to resume an aborted training.")
    ] = None
    texts: Annotated[bool, typer.Option(help="Use the items' titles as features.")] = True
    start: Annotated[
        Path | None,
        typer.Option("--from", help="An older artifact whose weights to start from."),
    ] = None
    dp_epsilon: Annotated[
        float | None,
        typer.Option(min=0.01, help="Train with differential privacy for each user, with this ε."),
    ] = None
    dp_delta: Annotated[
        float | None,
        typer.Option(min=1e-15, max=0.1, help="The δ; default: 0.1 / number of users."),
    ] = None
    dp_clip: Annotated[
        float, typer.Option(min=1e-3, help="The norm to which each user's gradient is clipped.")
    ] = 1.0
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1
    overwrite: Annotated[bool, typer.Option(help="Replace an existing artifact.")] = False
    json_file: JsonFile = None

    @property
    def is_private(self) -> bool:
        """Whether to train with differential privacy."""
        return self.dp_epsilon is not None

    def check(self) -> None:
        """Raise ``BadParameter`` for the first invalid option or combination."""
        for wrong, line in self._checks():
            if wrong:
                raise typer.BadParameter(line)

    def config(self) -> "ArtifactConfig":
        """The artifact's configuration; raises ``BadParameter`` for invalid values."""
        from model.baselines import BASELINES
        from model.config import ArtifactConfig

        if self.name in BASELINES:
            raise typer.BadParameter(
                f"--name {self.name} is the name of a baseline; choose another"
            )
        actions = tuple(action.strip() for action in self.actions.split(","))
        intents = self._intents(actions)
        own_names = all(counted == (name,) for name, counted in intents.items())
        try:
            return ArtifactConfig(
                self.name,
                self.network,
                actions,
                tuple(intents),
                horizon_s=self.horizon_s,
                intent_actions=() if own_names else tuple(intents.values()),
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    def _intents(self, actions: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """The actions that each intent counts; raises ``BadParameter``."""
        own = {name: (name,) for name in INTENTS if name in actions}
        given: dict[str, tuple[str, ...]] = {}
        for text in self.intent or ():
            name, is_pair, names = (part.strip() for part in text.partition("="))
            counted = tuple(part.strip() for part in names.split(","))
            if not is_pair or not name or "" in counted or name in given:
                raise typer.BadParameter(
                    f"--intent {text}: expected NAME=ACTION[,ACTION], such as buy=purchase,order, "
                    "and each name once"
                )
            if unknown := [action for action in counted if action not in actions]:
                raise typer.BadParameter(
                    f"--intent {text}: {unknown[0]} is not among --actions {self.actions}"
                )
            given[name] = counted
        both = {**own, **given}
        return {name: both[name] for name in (*INTENTS, *both) if name in both}

    def plan(self, config: "ArtifactConfig") -> "Plan":
        """The plan of the training."""
        from model.training.plan import Plan

        return Plan(
            config,
            self._recipe(),
            width=self.dim,
            held_out=self.held_out,
            device=self.device,
            encoder=self.encoder,
            texts=self.texts,
            start=self.start,
            tune=self.tune,
            refit=self.refit,
            checkpoints=self.checkpoints,
            privacy=self._privacy(),
        )

    def _recipe(self) -> "Recipe":
        from model.training.plan import Recipe

        epochs = self.epochs or (PRIVATE_EPOCHS if self.is_private else EPOCHS)
        return Recipe(epochs=epochs, minutes=self.minutes, seed=self.seed)

    def _privacy(self) -> "Privacy | None":
        from model.training.plan import Privacy

        if self.dp_epsilon is None:
            return None
        return Privacy(self.dp_epsilon, self.dp_delta, self.dp_clip)

    def _checks(self) -> Iterator[tuple[object, str]]:
        """Each check: whether it fails, and the message if so."""
        network, tune, dim = self.network, self.tune, self.dim
        for option in fields(self):  # NaN is neither below a bound nor above it
            value = getattr(self, option.name)
            infinite = isinstance(value, float) and not math.isfinite(value)
            yield infinite, f"--{option.name.replace('_', '-')} {value}: expected a finite number"
        yield network not in TRAININGS, f"{network!r} is unknown; choose one of {NETWORKS}"
        yield tune not in TUNES, f"--tune {tune}: choose one of {', '.join(TUNES)}"
        not_sequence = TRAININGS[network] != SEQUENCE_TRAINING
        yield (
            self.start and not_sequence,
            f"--from: {network} is always trained from scratch; leave it out",
        )
        yield dim % 2, f"--dim {dim}: expected an even number"
        actions = [name.strip() for name in self.actions.split(",")]
        yield "" in actions, f"--actions {self.actions}: expected names that are not empty"
        yield (
            FORGET in actions,
            f"--actions: {FORGET} is reserved for erasure, and never learnt; leave it out",
        )
        yield (
            self.checkpoints and network == "path",
            "--checkpoints: path is fitted in one go, and has nothing to resume; leave it out",
        )
        alone = "--dp-epsilon" if self.is_private else network
        yield (
            processes() > 1 and (self.is_private or not_sequence),
            f"{alone} trains in one process, {processes()} were started",
        )
        if self.is_private:
            yield from ((wrong, f"--dp-epsilon: {line}") for wrong, line in self._privacy_checks())

    def _privacy_checks(self) -> Iterator[tuple[object, str]]:
        """The checks of options that differential privacy excludes or requires."""
        unfit = TRAININGS[self.network] != SEQUENCE_TRAINING
        yield unfit, f"{self.network} cannot be trained with privacy; choose another --network"
        yield self.start, "the model of --from may have seen the same users; leave it out"
        yield (
            self.checkpoints,
            "--checkpoints are not supported, as the seed does not determine the steps",
        )
        yield (
            self.minutes,
            "--minutes would reveal how long the users' events took; use --epochs",
        )
        yield (
            self.items is None,
            "a catalogue from the log would reveal the users' items; give it by --items",
        )
        yield (
            not self.refit,
            "nothing is held out, as that would reveal users too; leave out --no-refit",
        )
