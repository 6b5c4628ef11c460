"""The graph file: what ``model.onnx`` holds, cut to the outputs that are asked for.

ONNX Runtime computes every output of a graph: ``only_execute_path_to_fetches`` has no effect in its
wheels. So a graph is cut before it is loaded. A worker has no ``onnx`` package, and the little that
is needed of protobuf (https://protobuf.dev/programming-guides/encoding) is read here: a message is
a series of numbered fields, of which one may be a message again.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

# The numbers of fields in onnx.proto.
_GRAPH = 7  # of a model
_NODE, _INITIALIZER, _OUTPUT, _VALUE_INFO = 1, 5, 12, 13  # of a graph
_READS, _WRITES, _ATTRIBUTE = 1, 2, 5  # of a node
_SUBGRAPHS = (6, 11)  # of an attribute
_NAMES = {_INITIALIZER: 8, _OUTPUT: 1, _VALUE_INFO: 1}  # the field with the name of each

_DIMENSIONS, _KIND, _RAW = 1, 2, 9  # of a tensor
_KINDS = {1: "<f4", 6: "<i4", 7: "<i8", 10: "<f2"}  # of its numbers

_VARINT, _EIGHT_BYTES, _SIZED, _FOUR_BYTES = 0, 1, 2, 5  # wire types
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}


class _Field(NamedTuple):
    number: int
    whole: memoryview  # with its number and size
    body: memoryview


class _Node(NamedTuple):
    reads: set[str]  # its subgraphs included
    writes: set[str]


class GraphFile:
    """An ONNX model, as it lies in its file."""

    def __init__(self, content: bytes) -> None:
        """Raises ``ValueError`` if it is no ONNX model."""
        self._model = list(_fields(memoryview(content)))
        graphs = [field.body for field in self._model if field.number == _GRAPH]
        if len(graphs) != 1:
            raise ValueError(f"it has {len(graphs)} graphs, expected one")
        self._graph = list(_fields(graphs[0]))
        self.outputs = tuple(_name(field) for field in self._graph if field.number == _OUTPUT)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file; raises ``OSError`` or ``ValueError``."""
        return cls(path.read_bytes())

    def cut(self, outputs: Collection[str]) -> bytes:
        """The model with these of its outputs alone, and what they are computed from.

        What remains is as it was, byte for byte.
        """
        nodes = {n: _node(f.body) for n, f in enumerate(self._graph) if f.number == _NODE}
        needed = set(outputs)
        for node in reversed(nodes.values()):  # a node comes before those that read what it writes
            if node.writes & needed:
                needed |= node.reads | node.writes
        kept = []
        for number, field in enumerate(self._graph):
            if field.number == _NODE:
                stays = bool(nodes[number].writes & needed)
            elif field.number == _OUTPUT:
                stays = _name(field) in outputs
            else:
                stays = field.number not in _NAMES or _name(field) in needed
            if stays:
                kept.append(field.whole)
        return self._with_graph(kept)

    def array(self, name: str) -> npt.NDArray[Any]:
        """A table of the graph, not copied; raises ``ValueError`` if it has none of raw bytes."""
        for field in self._graph:
            if field.number == _INITIALIZER and _name(field) == name:
                return _array(name, field.body)
        raise ValueError(f"it has no array {name}")

    def _with_graph(self, graph: list[memoryview]) -> bytes:
        head = _varint(_GRAPH << 3 | _SIZED) + _varint(sum(map(len, graph)))
        pieces: list[bytes | memoryview] = []
        for field in self._model:
            pieces += [head, *graph] if field.number == _GRAPH else [field.whole]
        return b"".join(pieces)


def _array(name: str, tensor: memoryview) -> npt.NDArray[Any]:
    shape: list[int] = []
    kind, raw = 0, None
    for field in _fields(tensor):
        if field.number == _DIMENSIONS:
            # One after the other, or packed together into one field.
            at, packed = 0, field.body
            while at < len(packed):
                size, at = _read_varint(packed, at)
                shape.append(size)
        elif field.number == _KIND:
            kind, _ = _read_varint(field.body, 0)
        elif field.number == _RAW:
            raw = field.body
    if kind not in _KINDS or raw is None:
        raise ValueError(f"{name} is of type {kind} or not stored as raw bytes")
    return np.frombuffer(raw, _KINDS[kind]).reshape(shape)


def _node(message: memoryview) -> _Node:
    node = _Node(set(), set())
    for field in _fields(message):
        if field.number == _READS:
            node.reads.add(_text(field.body))
        elif field.number == _WRITES:
            node.writes.add(_text(field.body))
        elif field.number == _ATTRIBUTE:
            for inner in _inner_nodes(field.body):
                node.reads.update(inner.reads)
    node.writes.discard("")  # an output that it could have had
    return node


def _inner_nodes(attribute: memoryview) -> Iterator[_Node]:
    for graph in _fields(attribute):
        if graph.number in _SUBGRAPHS:
            yield from (_node(f.body) for f in _fields(graph.body) if f.number == _NODE)


def _name(field: _Field) -> str:
    number = _NAMES[field.number]
    return next((_text(part.body) for part in _fields(field.body) if part.number == number), "")


def _text(body: memoryview) -> str:
    return str(body, "utf-8")


def _fields(message: memoryview) -> Iterator[_Field]:
    """The fields of a message, in order; raises ``ValueError`` if it is none."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        begin = at
        if tag & 7 == _VARINT:
            _, at = _read_varint(message, at)
        elif tag & 7 == _SIZED:
            size, begin = _read_varint(message, at)
            at = begin + size
        elif tag & 7 in _FIXED:
            at += _FIXED[tag & 7]
        else:
            raise ValueError(f"it has a field of type {tag & 7}, which protobuf lacks")
        if at > len(message):
            raise ValueError("it ends within a field")
        yield _Field(tag >> 3, message[start:at], message[begin:at])


def _read_varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at a position, and the position after it."""
    value = shift = 0
    while True:
        if at >= len(message):
            raise ValueError("it ends within a number")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
