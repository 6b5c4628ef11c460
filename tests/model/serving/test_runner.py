"""The runner: fixed shapes, the same bits in all of them, one copy in and one copy out."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from model.artifact.artifact import Artifact
from model.config import ArtifactConfig
from model.features import random_windows
from model.graphs.servable import Servable
from model.serving.runner import ROWS, Runner
from model.serving.torch import TorchScorer

CONFIG = ArtifactConfig()
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)  # cores are shared, and threads that wait for each other take long


class Plain(Servable):
    """Answers from the windows alone; notes the shapes in which it was run."""

    inputs = ("items", "lengths")
    outputs = ("sums", "firsts", "pairs")

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []

    def forward(self, items: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        self.seen.append((items.shape[0], items.shape[1]))
        return items.float().sum(1, keepdim=True), items[:, :1].long(), self.pairs(items, lengths)

    def pairs(self, items: Tensor, lengths: Tensor) -> Tensor:
        return torch.stack([lengths.float(), items[:, 0] / 3], dim=1)[:, None]


class OtherBits(Plain):
    """As a kernel that adds in another order for 16 rows."""

    def pairs(self, items: Tensor, lengths: Tensor) -> Tensor:
        found = super().pairs(items, lengths)
        return found * (1 + 2**-23) if len(items) == 16 else found


def runner(graph: Plain) -> Runner:
    return Runner(graph, graph.outputs, CONFIG, items=100, device=CPU)


def test_every_output_comes_back_in_its_shape_and_type() -> None:
    windows = random_windows(CONFIG, 100, 5, 8)

    sums, firsts, pairs = runner(Plain()).run(windows)

    assert [str(out.dtype) for out in (sums, firsts, pairs)] == ["float32", "int64", "float32"]
    assert sums[:, 0].tolist() == windows.items.sum(1).tolist()
    assert firsts[:, 0].tolist() == windows.items[:, 0].tolist()
    assert pairs.shape == (5, 1, 2)
    assert pairs[:, 0, 0].tolist() == windows.lengths.tolist()


def test_one_user_runs_in_the_smallest_shape() -> None:
    graph = Plain()
    served = runner(graph)
    graph.seen.clear()

    served.run(random_windows(CONFIG, 100, 1, 4))

    assert graph.seen == [(16, 8)]


def test_a_shape_that_gives_other_bits_is_not_used() -> None:
    assert runner(Plain()).shapes.rows == (16, 32, 48, ROWS)

    graph = OtherBits()
    served = runner(graph)
    graph.seen.clear()
    served.run(random_windows(CONFIG, 100, 1, 4))

    assert served.shapes.rows == (32, 48, ROWS)
    assert graph.seen == [(32, 8)]


def test_nothing_of_an_earlier_batch_is_left() -> None:
    class Whole(Plain):
        def pairs(self, items: Tensor, lengths: Tensor) -> Tensor:
            return (items.sum() + lengths.sum()).float().expand(len(items), 1, 2).contiguous()

    served = runner(Whole())
    small = random_windows(CONFIG, 100, 2, 4)
    before = served.run(small)[2]

    served.run(random_windows(CONFIG, 100, 16, 8))

    assert served.run(small)[2].tolist() == before.tolist()


class Copies(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the asynchronous copies."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if str(func) == "aten.copy_.default" and args[2:] == (True,):
            self.count += 1
        return func(*args, **(kwargs or {}))


def test_a_batch_is_one_copy_in_and_one_copy_out(tiny_artifact: Artifact) -> None:
    scorer = TorchScorer(tiny_artifact)
    windows = random_windows(tiny_artifact.config, 60, 7, 8)

    with Copies() as copies:  # type: ignore[no-untyped-call]
        scorer._runner.run(windows)

    assert copies.count == 2


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_score_has_the_same_bits_in_any_batch(tiny_artifact: Artifact, size: int) -> None:
    scorer = TorchScorer(tiny_artifact)
    users = scorer.sample(150)
    whole = scorer.score(users)

    parts = [scorer.score(users[at : at + size]) for at in range(0, len(users), size)]

    assert [score for part in parts for score in part] == whole
