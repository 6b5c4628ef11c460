"""A new model serves once the folder has one; whatever is wrong with it, the old one goes on."""

import asyncio
import gc
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from stream.metrics import Metrics
from stream.pipeline.batcher import BatchPolicy
from stream.pipeline.scoring import Device
from stream.worker.models.model_reload import Model, Reloader
from tests.stream.fakes import EchoScorer

POLICY = BatchPolicy(64, 5000, 0.2)


def put(folder: Path, text: str, weights: str = "weights") -> None:
    """An artifact, as far as the reloader looks: a manifest and a file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(text)
    (folder / "model.onnx").write_text(weights)


class Shelf:
    """Loads what the manifest says: the version it names, or an error."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loads: list[str] = []
        self.served: list[str] = []
        self.amid: Callable[[], None] = lambda: None  # what happens while a model is loaded
        self.metrics = Metrics(CollectorRegistry())
        self.reloader = Reloader(folder, self._load, self._serve, self.metrics)
        self.reloader.start()
        self.loads.clear()

    def _load(self) -> Model:
        version = (self.folder / "manifest.json").read_text()
        self.loads.append(version)
        self.amid()
        if version.startswith("bad"):
            raise ValueError(f"{version} is\nno good; export it again")
        scorer = EchoScorer()
        scorer.info = scorer.info._replace(version=version)
        return Model(scorer, POLICY)

    def _serve(self, model: Model) -> None:
        self.served.append(model.scorer.info.version)

    def count(self, result: str) -> int:
        return int(self.metrics.model_reloads[result]._value.get())

    def look(self, times: int = 2) -> None:
        """Twice is what it takes for something new to be there to stay."""

        async def look() -> None:
            for _ in range(times):
                await self.reloader.check()

        asyncio.run(look())

    def ask(self) -> None:
        """As SIGHUP does."""
        asyncio.run(self.reloader.reload())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    put(tmp_path / "model", "v1")
    return Shelf(tmp_path / "model")


def test_nothing_new_is_not_loaded_again(shelf: Shelf) -> None:
    shelf.look(times=3)

    assert (shelf.loads, shelf.served) == ([], [])


def test_a_new_manifest_is_loaded_once_and_serves(shelf: Shelf) -> None:
    put(shelf.folder, "v2")
    shelf.look(times=4)

    assert (shelf.loads, shelf.served) == (["v2"], ["v2"])
    assert (shelf.count("ok"), shelf.count("refused")) == (1, 0)
    assert b'lately_model_info{device="cpu",name="echo",version="v2"} 1.0' in shelf.metrics.render()


def test_a_folder_that_is_still_being_filled_is_left_alone(shelf: Shelf) -> None:
    put(shelf.folder, "v2", weights="half")
    shelf.look(times=1)
    put(shelf.folder, "v2", weights="whole of it")
    shelf.look(times=1)
    assert shelf.loads == []

    shelf.look(times=1)
    assert shelf.served == ["v2"]


def test_a_link_that_is_switched_is_a_new_model(tmp_path: Path) -> None:
    put(tmp_path / "a", "v1")
    put(tmp_path / "b", "v2")
    (tmp_path / "model").symlink_to("a")
    shelf = Shelf(tmp_path / "model")

    (tmp_path / "next").symlink_to("b")
    (tmp_path / "next").rename(tmp_path / "model")
    shelf.look()

    assert shelf.served == ["v2"]


def test_a_folder_that_is_replaced_by_a_rename_is_a_new_model(shelf: Shelf, tmp_path: Path) -> None:
    put(tmp_path / "next", "v2")
    shelf.folder.rename(tmp_path / "before")
    shelf.look(times=1)  # amid the two renames there is no folder, which is no model to refuse
    (tmp_path / "next").rename(shelf.folder)
    shelf.look()

    assert (shelf.served, shelf.count("refused")) == (["v2"], 0)


def test_a_bad_one_is_refused_in_one_line_and_not_tried_again(shelf: Shelf) -> None:
    put(shelf.folder, "bad2")
    with capture_logs() as logs:
        shelf.look(times=5)

    assert (shelf.loads, shelf.served) == (["bad2"], [])
    assert (shelf.count("ok"), shelf.count("refused")) == (0, 1)
    (line,) = logs
    assert line["log_level"] == "warning"
    assert line["event"].endswith("goes on: ValueError: bad2 is no good; export it again")
    assert line["model"] == "echo v1 on cpu"


def test_a_folder_that_is_gone_is_refused_once(shelf: Shelf) -> None:
    shutil.rmtree(shelf.folder)
    with capture_logs() as logs:
        shelf.look(times=5)

    assert (len(logs), shelf.count("refused")) == (1, 1)


def test_after_a_bad_one_the_next_good_one_serves(shelf: Shelf) -> None:
    put(shelf.folder, "bad2")
    shelf.look()
    put(shelf.folder, "v3")
    shelf.look()

    assert (shelf.served, shelf.count("ok"), shelf.count("refused")) == (["v3"], 1, 1)


@pytest.mark.parametrize("mended", ["v1", "v3"])
def test_a_refusal_is_over_once_the_folder_has_a_model_that_may_serve(
    shelf: Shelf, mended: str
) -> None:
    def refused() -> float:
        return float(shelf.metrics.model_refused._value.get())

    seen = [refused()]
    for version in ("bad2", "bad3", mended):
        put(shelf.folder, version)
        shelf.look()
        seen.append(refused())

    assert seen == [0, 1, 1, 0]


def test_back_to_the_model_that_serves_changes_nothing(shelf: Shelf) -> None:
    put(shelf.folder, "bad2")
    shelf.look()
    put(shelf.folder, "v1")
    shelf.look()

    assert (shelf.served, shelf.count("ok")) == ([], 0)


def test_who_asks_need_not_wait_and_gets_a_bad_one_tried_again(shelf: Shelf) -> None:
    put(shelf.folder, "bad2")
    shelf.ask()
    shelf.ask()

    assert shelf.loads == ["bad2", "bad2"]
    shelf.look()
    assert shelf.loads == ["bad2", "bad2"]


def test_a_folder_that_changes_while_it_is_loaded_is_loaded_again(shelf: Shelf) -> None:
    put(shelf.folder, "v2")
    shelf.amid = lambda: put(shelf.folder, "v3", weights="of another one")
    shelf.ask()  # what was loaded may be half of each
    assert (shelf.served, shelf.count("ok")) == ([], 0)

    shelf.amid = lambda: None
    shelf.look()
    assert (shelf.served, shelf.count("refused")) == (["v3"], 0)


def test_whoever_asks_wakes_it_though_it_never_looks_by_itself(shelf: Shelf) -> None:
    put(shelf.folder, "v2")

    async def main() -> None:
        asked = asyncio.Event()
        running = asyncio.create_task(shelf.reloader.run(0, asked))
        asked.set()
        while not shelf.served:
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(main())
    assert shelf.served == ["v2"]


def test_the_old_scorer_is_let_go() -> None:
    old = EchoScorer()
    gone = weakref.ref(old)
    device = Device(old, timeout_s=60)
    asyncio.run(device.score([]))

    device.swap(EchoScorer())
    del old
    gc.collect()
    device.close()

    assert gone() is None
