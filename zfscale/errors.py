"""Errors a user can act on. Everything here is a `ValueError`: the input was wrong, not the program."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from zfscale.results.redact import redact


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


def one_line(error: BaseException, limit: int = 500) -> str:
    r"""The whole message of another library's error on one line, at most `limit` characters of it.

    An error without a message is its type's name, followed by the error that caused it. What a user cannot read, such
    as control characters and addresses of objects, is left out; so are secrets, before a cut hides their shape.

    >>> one_line(RuntimeError("cannot read:\n\n  a.bin"))
    'cannot read: a.bin'
    """
    text = redact(" ".join(_printable(str(error)).split()))
    name = type(error).__name__
    if isinstance(error, KeyError):  # its message is the key alone
        text = f"{name} {text}"
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if not text:
        text = f"{name}: {one_line(cause, limit)}" if cause else name
    return text if len(text) <= limit else f"{text[: limit - 4]} ..."


def _printable(text: str) -> str:
    text = re.sub(r" object at 0x[0-9a-fA-F]+", "", text)
    return "".join(c if c.isprintable() else " " for c in text)
