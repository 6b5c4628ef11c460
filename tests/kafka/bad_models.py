"""Bad models: one of every kind that a reload may meet, and the way a link comes to lead to one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import numpy_helper

from model.artifact.artifact import CATALOGUE, GRAPH, MANIFEST
from tests.kafka.artifact import edit_json, rewrite


def break_file(folder: Path) -> None:
    """Flip a bit of the graph."""
    path = folder / GRAPH
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(folder: Path) -> None:
    """Leave nothing but another program's manifest."""
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / MANIFEST).write_text('{"name": "of another program"}')


def other_format(folder: Path) -> None:
    """Claim a format that nobody knows."""
    edit_json(folder / MANIFEST, lambda found: found.update(format_version=99))


# What is done to a copy of a good one, and a word of the line that refuses it.
BROKEN: dict[str, Callable[[Path], object]] = {
    "is missing": lambda folder: (folder / GRAPH).unlink(),
    "bytes, manifest expects": lambda folder: (folder / GRAPH).write_bytes(b"half"),
    "has sha256": break_file,
    "has format_version None": empty,
    "has format_version 99": other_format,
}


def rename_items(draft: Path) -> None:
    """Let no item be one that is known."""
    edit_json(
        draft / CATALOGUE, lambda found: found.update(items=[f"new-{i}" for i in found["items"]])
    )


def lose_numbers(draft: Path) -> None:
    """Let every answer be no number."""
    graph = onnx.load(draft / GRAPH)
    (bias,) = (i for i in graph.graph.initializer if i.name == "network.intent.2.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) * float("nan"), bias.name))
    onnx.save(graph, draft / GRAPH)


# Whole artifacts that cannot serve here all the same; the first one by a list of allowed items.
NAMES_NO_ITEM = "names no item of the catalogue"
UNFIT: dict[str, Callable[[Path], None]] = {
    NAMES_NO_ITEM: rename_items,
    "not a number": lose_numbers,
}


def make_bad(source: Path, folder: Path, allowed_items: bool = False) -> dict[str, Path]:
    """A bad artifact of each kind, by the word that its refusal must have.

    One of them is bad only for a worker that may name ``allowed_items`` alone.
    """
    made = {}
    for number, (word, change) in enumerate(BROKEN.items()):
        made[word] = folder / f"broken-{number}"
        shutil.copytree(source, made[word])
        change(made[word])
    for number, (word, change) in enumerate(UNFIT.items()):
        if word != NAMES_NO_ITEM or allowed_items:
            made[word] = rewrite(source, folder / f"unfit-{number}", change, name="unfit")
    return made


def switch(link: Path, target: Path) -> None:
    """Let the link lead elsewhere, from one moment to the next."""
    fresh = link.with_suffix(".next")
    fresh.symlink_to(target)
    fresh.rename(link)
