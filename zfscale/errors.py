"""Errors a user can act on. Everything here is a `ValueError`: the input was wrong, not the program."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZfscaleError(ValueError):
    """Base of every error whose message is meant for the user, who sees it without a traceback."""


class SpecError(ZfscaleError):
    """A sweep file that cannot be run.

    The message says where (file, line, dotted path), what was given and what is allowed.
    """


class DataError(ZfscaleError):
    """A dataset that is missing, unreadable, or that does not fit the stream."""


class ModelError(ZfscaleError):
    """A model that is missing, unreadable, or of an architecture the method cannot use."""


class StorageError(OSError, ZfscaleError):
    """Our own storage (results, ledger, snapshots) that refuses; an `OSError`, and never the fault of a trial."""


def nearest(name: str, allowed: Iterable[str]) -> str:
    """A ready-made hint: the closest allowed name, then all of them.

    >>> nearest("zo-sdg", ["zo-sgd", "fo-sgd"])
    "did you mean 'zo-sgd'? allowed: fo-sgd, zo-sgd"
    """
    names = sorted(allowed)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(names)}"
