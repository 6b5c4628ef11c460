"""The options of ``lately train``: their table, what is refused of them, and the plan they make."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from model.commands.common import Events, JsonFile, processes
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
    """One field an option, in the order of the help."""

    events: Events
    out: Annotated[Path, typer.Option(help="The folder to write the artifact to.")]
    network: Annotated[str, typer.Option(help=f"One of {NETWORKS}.")] = "transformer"
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Train no longer than this.")] = (
        None
    )
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes over the log, at most 100; with --dp-epsilon just so many, 20."
        ),
    ] = None
    items: Annotated[
        Path | None, typer.Option(help="Items: item_id, category, title, and whatever else.")
    ] = None
    name: Annotated[str, typer.Option(help="What scores call the model.")] = "lately"
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0
    horizon_s: Annotated[
        int, typer.Option(min=1, help="Seconds within which a cart or buy counts.")
    ] = 1_800
    actions: Annotated[str, typer.Option(help="All actions of the log.")] = "click,cart,buy"
    dim: Annotated[int, typer.Option(min=2, help="Width of the vectors, even.")] = 96
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Newest share of the log to check on.")
    ] = 0.1
    tune: Annotated[
        str, typer.Option(help=f"What of the text encoder bert trains: {', '.join(TUNES)}.")
    ] = "top"
    encoder: Annotated[
        Path | None,
        typer.Option(help="A folder with a BERT-family text encoder, instead of lately[text]'s."),
    ] = None
    refit: Annotated[
        bool, typer.Option(help="In the end learn again, from the newest share too.")
    ] = True
    checkpoints: Annotated[
        Path | None, typer.Option(help="A folder to go on from, should the training break off.")
    ] = None
    texts: Annotated[bool, typer.Option(help="Let the items' titles say what an item is like.")] = (
        True
    )
    start: Annotated[
        Path | None,
        typer.Option("--from", help="An older artifact, to start from what it learnt."),
    ] = None
    dp_epsilon: Annotated[
        float | None,
        typer.Option(min=0.01, help="Let no user change the model by more than this ε."),
    ] = None
    dp_delta: Annotated[
        float | None,
        typer.Option(min=1e-15, max=0.1, help="But for this δ; a tenth of one in all users."),
    ] = None
    dp_clip: Annotated[
        float, typer.Option(min=1e-3, help="The longest gradient that a user may give.")
    ] = 1.0
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu"
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1
    overwrite: Annotated[bool, typer.Option(help="Replace an artifact that is there.")] = False
    json_file: JsonFile = None

    @property
    def is_private(self) -> bool:
        """Whether a promise is made to the users."""
        return self.dp_epsilon is not None

    def check(self) -> None:
        """Raise ``BadParameter`` for the first thing that makes no sense."""
        for wrong, line in self._misfits():
            if wrong:
                raise typer.BadParameter(line)

    def config(self) -> "ArtifactConfig":
        """What training and serving share; raises ``BadParameter`` for values that do not fit."""
        from model.baselines import BASELINES
        from model.config import ArtifactConfig

        if self.name in BASELINES:
            raise typer.BadParameter(
                f"--name {self.name} is what a baseline is called; choose another"
            )
        actions = tuple(action.strip() for action in self.actions.split(","))
        intents = tuple(action for action in INTENTS if action in actions)
        try:
            return ArtifactConfig(
                self.name, self.network, actions, intents, horizon_s=self.horizon_s
            )
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    def plan(self, config: "ArtifactConfig") -> "Plan":
        """What to make of the log."""
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

    def _misfits(self) -> Iterator[tuple[object, str]]:
        """Each thing that may be wrong, whether it is, and what to say then."""
        network, tune, dim = self.network, self.tune, self.dim
        yield network not in TRAININGS, f"{network!r} is unknown; choose one of {NETWORKS}"
        yield tune not in TUNES, f"--tune {tune}: choose one of {', '.join(TUNES)}"
        only_afresh = TRAININGS[network] != SEQUENCE_TRAINING
        yield self.start and only_afresh, f"--from: {network} always starts afresh; leave it out"
        yield dim % 2, f"--dim {dim}: expected an even number"
        alone = "--dp-epsilon" if self.is_private else network
        yield (
            processes() > 1 and (self.is_private or only_afresh),
            f"{alone} trains in one process, {processes()} were started",
        )
        if self.is_private:
            yield from ((wrong, f"--dp-epsilon: {line}") for wrong, line in self._breaches())

    def _breaches(self) -> Iterator[tuple[object, str]]:
        """What would break the promise of privacy, or cannot keep it."""
        unfit = TRAININGS[self.network] != SEQUENCE_TRAINING
        yield unfit, f"{self.network} cannot be trained so; see --network"
        yield self.start, "--from may know the same users already; leave it out"
        yield (
            self.checkpoints,
            "--checkpoints are not written, for steps do not follow from the seed",
        )
        yield (
            self.minutes,
            "--minutes would tell how long the users' events took; say it by --epochs",
        )
        yield (
            self.items is None,
            "the log's own items tell of who acted on them; give the list by --items",
        )
        yield (
            not self.refit,
            "nothing is held out, for that would tell of users, too; leave out --no-refit",
        )
