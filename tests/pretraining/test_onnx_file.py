"""Weights out of an ONNX file, written here byte by byte as protobuf lays it out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zfscale.errors import ModelError
from zfscale.pretraining.onnx_file import read


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, x: np.ndarray, kind: int = 1, packed: bool = False) -> bytes:
    dims = field(1, b"".join(varint(n) for n in x.shape)) if packed else b"".join(field(1, n) for n in x.shape)
    return field(5, dims + field(2, kind) + field(8, name) + field(9, x.tobytes()))


def node(name: str, *inputs: str) -> bytes:
    return field(1, b"".join(field(1, one) for one in inputs) + field(2, "out") + field(3, name) + field(4, "MatMul"))


def model(*parts: bytes) -> bytes:
    other = varint(9 << 3 | 5) + b"1234" + varint(10 << 3 | 1) + b"12345678"  # of 32 and 64 bits
    return field(1, 7) + field(2, "pytorch") + field(7, b"".join(parts) + other) + field(8, b"\x10\x0e")


def test_tensors_and_what_nodes_read(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    a, b, one = (draw.normal(size=shape).astype("<f4") for shape in ((3, 200), (4,), ()))
    whole = model(
        node("/layer.0/fc/MatMul", "x", "onnx::MatMul_7"),
        tensor("onnx::MatMul_7", a),
        tensor("b", b, packed=True),
        tensor("scalar", one),
        tensor("shape", np.arange(3, dtype="<i8"), kind=7),
    )
    (tmp_path / "m.onnx").write_bytes(whole)
    graph = read(tmp_path / "m.onnx")
    assert graph.inputs == {"/layer.0/fc/MatMul": ["x", "onnx::MatMul_7"]}
    assert set(graph.tensors) == {"onnx::MatMul_7", "b", "scalar"}
    for name, expected in (("onnx::MatMul_7", a), ("b", b), ("scalar", one)):
        assert graph.tensors[name].shape == expected.shape
        assert (graph.tensors[name] == expected).all()


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "no graph", "wrong size"])
def test_another_file_is_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    whole = model(tensor("a", np.ones((2, 3), "<f4")))
    content = {
        "empty": b"",
        "text": b"not an ONNX file at all",
        "cut": whole[:-9],
        "no graph": field(1, 7),
        "wrong size": model(field(5, field(1, 5) + field(2, 1) + field(8, "a") + field(9, b"1234"))),
    }[damage]
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"m\.onnx: no ONNX file, or a damaged one") as caught:
        read(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
