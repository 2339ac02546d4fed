"""What "package.module:Name" stands for: imported when it is used, so that naming a thing costs nothing."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Mapping
from typing import Any, TypeVar

from zfscale.errors import SpecError

Facts = TypeVar("Facts")

PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_path(name: str) -> bool:
    """Whether a name is the path of an object, such as "package.module:Name".

    >>> is_path("mypkg.cl:Mine"), is_path("zo-sgd")
    (True, False)
    """
    return PATH.fullmatch(name) is not None


def load(path: str) -> Any:
    """The object at "package.module:Name" of this package; what the import raises is raised."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def load_user(path: str) -> Any:
    """As `load`, of a user's own module, which may lie in the working directory."""
    if (here := os.getcwd()) not in sys.path:  # a command's own directory is there, the user's is not
        sys.path.append(here)
    return load(path)


def facts_of(name: str, catalogue: Mapping[str, Facts], kind: type[Facts], key: str) -> Facts:
    """The facts of a name in a catalogue, or of a user's own class at "package.module:Class": its attribute `facts`.

    `key` is what of a sweep file names it. Errors: SpecError if the class has no such facts; what the import raises.
    """
    if name in catalogue:
        return catalogue[name]
    facts = getattr(load_user(name), "facts", None)
    if not isinstance(facts, kind):
        raise SpecError(f"{key}: {name!r} has no `facts`, a {kind.__module__}.{kind.__name__}")
    return facts
