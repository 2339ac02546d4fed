"""What weights an ONNX file holds, read from its bytes: as much of protobuf's wire format as that takes.

Numbers of fields are those of onnx.proto: ModelProto.graph 7; GraphProto.node 1, initializer 5; NodeProto.input 1,
name 3; TensorProto.dims 1, data_type 2, name 8, raw_data 9.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zfscale.errors import ModelError

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
FLOAT = 1  # TensorProto.data_type


@dataclass(frozen=True)
class Graph:
    """Tensors by name, float32 ones alone, and of each node by name what it reads."""

    tensors: dict[str, np.ndarray]
    inputs: dict[str, list[str]]


def read(path: Path) -> Graph:
    """The graph of an ONNX file. Errors: ModelError if the file is none."""
    try:
        (graph,) = [value for number, value in _fields(memoryview(path.read_bytes())) if number == 7]
        assert isinstance(graph, memoryview)
        parts = list(_fields(graph))
        nodes = [list(_fields(value)) for number, value in parts if number == 1 and isinstance(value, memoryview)]
        tensors = [_tensor(value) for number, value in parts if number == 5 and isinstance(value, memoryview)]
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: no ONNX file, or a damaged one ({error})") from error
    inputs = {
        "".join(_text(v) for number, v in node if number == 3): [_text(v) for number, v in node if number == 1]
        for node in nodes
    }
    return Graph(dict(tensor for tensor in tensors if tensor is not None), inputs)


def _tensor(data: memoryview) -> tuple[str, np.ndarray] | None:
    fields = list(_fields(data))
    if [value for number, value in fields if number == 2] != [FLOAT]:
        return None
    shape: list[int] = []
    for number, value in fields:
        if number == 1:
            shape += [value] if isinstance(value, int) else _packed(value)
    name, raw = (next((v for number, v in fields if number == wanted), memoryview(b"")) for wanted in (8, 9))
    assert isinstance(raw, memoryview)
    return _text(name), np.frombuffer(raw, "<f4").reshape(shape).copy()


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of the fields of a message, in order."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind, size = key & 7, 0
        if kind == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(data):
            raise ValueError("it ends within a field")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """(number, where it ends): seven bits a byte, the lowest first."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _packed(data: memoryview) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def _text(value: int | memoryview) -> str:
    return bytes(value).decode() if isinstance(value, memoryview) else str(value)
