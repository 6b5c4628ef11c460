"""Model reload: puts a new model into service once the artifact's folder has a valid one."""

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
LOAD_S = 600.0  # beyond this it is a hanging file system, not a slow model
_log = structlog.get_logger(__name__)


class Model(NamedTuple):
    """A warm scorer, and the batch policy that suits it."""

    scorer: Scorer
    policy: BatchPolicy


class Snapshot(NamedTuple):
    """What identifies a folder's contents without reading them all: equal means unchanged."""

    manifest: bytes
    files: tuple[tuple[str, int, int], ...]  # name, bytes, nanoseconds of the last change

    @classmethod
    def of(cls, folder: Path) -> "Snapshot":
        """Take a snapshot of a folder; an empty one if there is no manifest."""
        try:
            with (folder / MANIFEST).open("rb") as file:
                manifest = file.read(MAX_MANIFEST_BYTES + 1)
            stats = [(path.name, path.stat()) for path in folder.iterdir()]
        except OSError:
            return cls(b"", ())
        return cls(manifest, tuple(sorted((n, s.st_size, s.st_mtime_ns) for n, s in stats)))


class Reloader:
    """Watches the folder of the artifact, which may be a symbolic link that is switched.

    ``load`` returns the model in it, tested and warm, or raises; ``serve`` puts it into service.
    A folder is loaded once, and again when its contents change or on request.
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
        self._tried: Snapshot | None = None
        self._last: Snapshot | None = None
        self._serving: ModelInfo

    def start(self) -> Model:
        """Load the first model; raises what ``load`` raises."""
        self._tried = Snapshot.of(self._folder)
        model = self._load()
        self._serving = model.scorer.info
        return model

    async def run(self, poll_s: float, requested: asyncio.Event) -> None:
        """Check at this interval, or never if ``poll_s`` is 0; reload at once when requested."""
        while True:
            try:
                async with asyncio.timeout(poll_s or None):
                    await requested.wait()
            except TimeoutError:
                await self.check()
            else:
                requested.clear()
                await self.reload()

    async def check(self) -> None:
        """Reload if the contents are new and did not change since the last check.

        So a folder that is being copied is left alone until it is complete.
        """
        snapshot = await asyncio.to_thread(Snapshot.of, self._folder)
        stable, self._last = snapshot == self._last, snapshot
        if stable and snapshot != self._tried:
            await self.reload()

    async def reload(self) -> None:
        """Load the model and put it into service; on any error the old one stays."""
        snapshot = self._tried = await asyncio.to_thread(Snapshot.of, self._folder)
        try:
            async with asyncio.timeout(LOAD_S):
                model = await asyncio.to_thread(self._load)
        except TimeoutError:
            self._refuse(f"{self._folder} is not loaded within {LOAD_S:g} s; look at the disk")
        except Exception as error:  # noqa: BLE001 - whatever it is, the old model can go on
            self._refuse(f"{type(error).__name__}: {error}")
        else:
            if await asyncio.to_thread(Snapshot.of, self._folder) != snapshot:
                self._tried = None  # half of one artifact, half of another: check again
            else:
                self._accept(model)

    def _accept(self, model: Model) -> None:
        info = model.scorer.info
        self._metrics.model_refused.set(0)
        if (info.name, info.version) == (self._serving.name, self._serving.version):
            _log.info("the artifact holds the model that serves", model=name_model(info))
            return
        self._serve(model)
        _log.info("new model serves", model=name_model(info), before=name_model(self._serving))
        self._serving = info
        self._metrics.set_model(info.name, info.version, info.device, info.created_s)
        self._metrics.model_reloads["ok"].inc()

    def _refuse(self, reason: str) -> None:
        self._metrics.model_reloads["refused"].inc()
        self._metrics.model_refused.set(1)
        # The reason is part of the message, because a repeated message is rate-limited.
        line = f"new model refused, the old one goes on: {' '.join(reason.split())}"
        _log.warning(line, model=name_model(self._serving))


def name_model(info: ModelInfo) -> str:
    """The model as log lines name it."""
    return f"{info.name} {info.version} on {info.device}"
