"""What to say of a hub dataset that cannot be had."""

from __future__ import annotations

from collections.abc import Iterable

from zfscale.errors import DataError, nearest


def not_loaded(dataset: str, error: Exception, known: Iterable[str], form: str) -> DataError:
    """One line: why, the names that are `known`, and the `form` in which one's own data is given.

    The hub's client has no common base class for "cannot be had": whatever it raises is told.
    """
    reason = next(iter(str(error).splitlines()), "no reason given")
    return DataError(
        f"dataset {dataset!r} cannot be loaded: {type(error).__name__}: {reason}; "
        f"{nearest(dataset, known)}, an id of the Hugging Face hub, or {form}"
    )
