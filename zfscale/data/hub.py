"""What to say of a dataset that cannot be had or read, in one line, by the errors of the libraries that read it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zfscale.errors import DataError, nearest, one_line

CAUSES = 5  # of an error that are told, at most
LENGTH = 2000  # characters of an error's text, at most: lists of columns and configurations are long


def reason(error: BaseException) -> str:
    """Why another library failed: what the system says, or the error's type and text and those of its causes."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(texts) < CAUSES:
        text = one_line(seen, LENGTH) if str(seen).strip() else ""
        texts.append(f"{type(seen).__name__}: {text or 'no reason given'}")
        seen = seen.__cause__
    return " <- ".join(texts)


def not_found(error: BaseException) -> bool:
    """Whether a dataset's name may be wrong: the hub does not have it, or could not be asked."""
    return isinstance(error, (FileNotFoundError, ConnectionError)) or "NotFound" in type(error).__name__


def not_loaded(dataset: str, error: Exception, known: Iterable[str], form: str) -> DataError:
    """One line: why; if the name may be wrong, the names that are `known` and the `form` of one's own data.

    The hub's client has no common base class for "cannot be had": whatever it raises is told.
    """
    if "save_to_disk" in str(error):  # a DatasetDict, a directory a split, is read
        remedy = "save a DatasetDict of its splits, or write them with to_parquet"
        return DataError(f"dataset {dataset!r} cannot be loaded: it is a single Dataset of save_to_disk; {remedy}")
    wrong = not_found(error) and not Path(dataset).is_dir()
    names = f"; {nearest(dataset, known)}, an id of the Hugging Face hub, or {form}" if wrong else ""
    config = f"; write {{hub: {dataset}, config: NAME}}" if "onfig name is missing" in str(error) else ""
    return DataError(f"dataset {dataset!r} cannot be loaded: {reason(error)}{config}{names}")
