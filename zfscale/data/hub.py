"""What to say of a hub dataset that cannot be had."""

from __future__ import annotations

from collections.abc import Iterable

from zfscale.errors import DataError, nearest


def one_line(error: BaseException) -> str:
    """What an error says, in full on one line; its type as well, unless it is the system's."""
    text = " ".join(((isinstance(error, OSError) and error.strerror) or str(error)).split())
    return text if isinstance(error, OSError) and text else f"{type(error).__name__}: {text or 'no reason given'}"


def not_found(error: BaseException) -> bool:
    """Whether a dataset's name may be wrong: the hub does not have it, or could not be asked."""
    return isinstance(error, (FileNotFoundError, ConnectionError)) or "NotFound" in type(error).__name__


def not_loaded(dataset: str, error: Exception, known: Iterable[str], form: str) -> DataError:
    """One line: why; if the name may be wrong, the names that are `known` and the `form` of one's own data.

    The hub's client has no common base class for "cannot be had": whatever it raises is told.
    """
    text = " ".join(str(error).split()) or "no reason given"
    names = f"; {nearest(dataset, known)}, an id of the Hugging Face hub, or {form}" if not_found(error) else ""
    return DataError(f"dataset {dataset!r} cannot be loaded: {type(error).__name__}: {text}{names}")
