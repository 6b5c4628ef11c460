"""Reloading: puts a new model into service once the artifact's folder has one, and it is sound."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import structlog

from model.scorer import ModelInfo, Scorer
from stream.metrics import Metrics
from stream.pipeline.batcher import BatchPolicy

MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1 << 20
LOAD_S = 600.0  # a file system that hangs must not look like a model that takes its time
_log = structlog.get_logger(__name__)


class Model(NamedTuple):
    """A scorer that is warm, and the batches that suit it."""

    scorer: Scorer
    policy: BatchPolicy


class Sight(NamedTuple):
    """What can be seen of a folder without reading all of it: equal sights, the same artifact."""

    manifest: bytes
    files: tuple[tuple[str, int, int], ...]  # name, bytes, nanoseconds of the last change

    @classmethod
    def of(cls, folder: Path) -> "Sight":
        """Look at a folder; where there is nothing to see, an empty sight."""
        try:
            with (folder / MANIFEST).open("rb") as file:
                manifest = file.read(MAX_MANIFEST_BYTES + 1)
            stats = [(path.name, path.stat()) for path in folder.iterdir()]
        except OSError:
            return cls(b"", ())
        return cls(manifest, tuple(sorted((n, s.st_size, s.st_mtime_ns) for n, s in stats)))


class Reloader:
    """Watches the folder of the artifact, which may be a link that is switched.

    ``load`` gives the model in it, warm and tried out, or raises; ``serve`` puts it into service.
    A folder is tried once: again when something in it has changed, or when somebody asks.
    """

    def __init__(
        self,
        folder: Path,
        load: Callable[[], Model],
        serve: Callable[[Model], None],
        metrics: Metrics,
    ) -> None:
        self._folder = folder
        self._load = load
        self._serve = serve
        self._metrics = metrics
        self._tried: Sight | None = None
        self._last: Sight | None = None
        self._serving: ModelInfo

    def start(self) -> Model:
        """Load the first model; raises what ``load`` raises."""
        self._tried = Sight.of(self._folder)
        model = self._load()
        self._serving = model.scorer.info
        return model

    async def run(self, poll_s: float, asked: asyncio.Event) -> None:
        """Look every so often, or never where ``poll_s`` is 0; and at once when asked."""
        while True:
            try:
                async with asyncio.timeout(poll_s or None):
                    await asked.wait()
            except TimeoutError:
                await self.look()
            else:
                asked.clear()
                await self.reload()

    async def look(self) -> None:
        """Reload if there is something new, and it was the same at the last look.

        So a folder that is being filled is left alone until it is whole.
        """
        sight = await asyncio.to_thread(Sight.of, self._folder)
        settled, self._last = sight == self._last, sight
        if settled and sight != self._tried:
            await self.reload()

    async def reload(self) -> None:
        """Load what is there, and let it serve; whatever is wrong with it, the old one goes on."""
        sight = self._tried = await asyncio.to_thread(Sight.of, self._folder)
        try:
            async with asyncio.timeout(LOAD_S):
                model = await asyncio.to_thread(self._load)
        except TimeoutError:
            self._refuse(f"{self._folder} is not loaded within {LOAD_S:g} s; look at the disk")
        except Exception as error:  # noqa: BLE001 - whatever it is, the old model can go on
            self._refuse(f"{type(error).__name__}: {error}")
        else:
            if await asyncio.to_thread(Sight.of, self._folder) != sight:
                self._tried = None  # half of one artifact, half of another: look again
            else:
                self._accept(model)

    def _accept(self, model: Model) -> None:
        info = model.scorer.info
        if info == self._serving:
            _log.info("the artifact holds the model that serves", model=_name(info))
            return
        self._serve(model)
        _log.info("new model serves", model=_name(info), before=_name(self._serving))
        self._serving = info
        self._metrics.set_model(info.name, info.version, info.device)
        self._metrics.model_reloads["ok"].inc()

    def _refuse(self, reason: str) -> None:
        self._metrics.model_reloads["refused"].inc()
        # The reason is part of the text, for a text that was there a moment ago is held back.
        line = f"new model refused, the old one goes on: {' '.join(reason.split())}"
        _log.warning(line, model=_name(self._serving))


def _name(info: ModelInfo) -> str:
    return f"{info.name} {info.version} on {info.device}"
