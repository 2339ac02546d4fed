"""What goes wrong with people's files, by name: every loader has a table of what it makes of each.

A loader's table maps each name of `TROUBLES` to a case, a function that makes its own small input and asserts either
the right value or an error that `assert_told` accepts; or to `No(reason)` where the trouble cannot happen to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TROUBLES = (
    "null",
    "wrong type",
    "wrong encoding",
    "cut",
    "empty",
    "hidden",
    "duplicate",
    "other schema",
    "other class set",
    "other bit depth",
    "rotated",
    "link",
    "unreadable",
)


@dataclass(frozen=True)
class No:
    """The trouble that this loader cannot have, and why."""

    reason: str


def assert_covers(table: Mapping[str, Callable[..., Any] | No]) -> None:
    """Every trouble has a case or a reason."""
    assert set(table) == set(TROUBLES)


def assert_told(error: BaseException, *names: str) -> None:
    """The error is one line of ours that has each of the names (file, row or byte, dataset, remedy) in it."""
    from zfscale.errors import ZfscaleError

    text = str(error)
    assert isinstance(error, ZfscaleError), repr(error)
    assert "\n" not in text.strip(), text
    assert not re.search(r"Traceback|object at 0x", text), text
    for name in names:
        assert name in text, f"{name!r} is missing in: {text}"
