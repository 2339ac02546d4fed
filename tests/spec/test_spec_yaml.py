"""The scalars of YAML 1.2, the line of every path, duplicate and merge keys."""

from __future__ import annotations

import math
from typing import Any

import pytest

from zfscale.errors import SpecError
from zfscale.spec.yaml import parse


def read(text: str) -> tuple[Any, dict[Any, int]]:
    return parse(text, lambda line: f"f:{line}")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3),
        ("1E5", 1e5),
        ("-.5", -0.5),
        ("+2.", 2.0),
        ("1.5e+3", 1500.0),
        ("-.inf", -math.inf),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("1e-3x", "1e-3x"),
        ("2024-01-01", "2024-01-01"),
        ("12:30:45", "12:30:45"),
        ("'1e-3'", "1e-3"),
        (".", "."),
        ("e5", "e5"),
    ],
)
def test_scalars_of_the_core_schema(text: str, value: Any) -> None:
    data, _ = read(f"a: {text}")
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


def test_every_path_has_the_line_it_was_written_on() -> None:
    _, lines = read("a:\n  b.c:\n    - 1\n    - {d: 2,\n       e: 3}\n")
    assert lines == {
        (): 1,
        ("a",): 1,
        ("a", "b.c"): 2,
        ("a", "b.c", 0): 3,
        ("a", "b.c", 1): 4,
        ("a", "b.c", 1, "d"): 4,
        ("a", "b.c", 1, "e"): 5,
    }


def test_a_duplicate_key_names_both_lines() -> None:
    with pytest.raises(SpecError, match=r"^f:4: a\.b: duplicate key; first given on line 2$"):
        read("a:\n  b: 1\n  c: 2\n  b: 3\n")


def test_merge_keys_lend_what_the_mapping_does_not_say() -> None:
    data, _ = read("x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 0}\n")
    assert data["z"] == {"a": 0, "b": 1, "c": 2}
