"""What to say of a hub dataset that cannot be had."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zfscale.errors import DataError, nearest


def not_loaded(dataset: str, error: Exception, known: Iterable[str], form: str) -> DataError:
    """One line: why; and, where there is no dataset of that name, the names that are `known` and the `form` of files.

    The hub's client has no common base class for "cannot be had": whatever it raises is told.
    """
    text = f"dataset {dataset!r} cannot be loaded: {one_line(error)}"
    if isinstance(error, (FileNotFoundError, ConnectionError)) and not Path(dataset).is_dir():
        text += f"; {nearest(dataset, known)}, an id of the Hugging Face hub, or {form}"
    return DataError(text)


def one_line(error: BaseException) -> str:
    """An error of another library, its type and all of its text, with the causes that say more than it does."""
    texts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(texts) < 5:
        text = " ".join(str(seen).split())
        texts.append(f"{type(seen).__name__}: {text}" if text else type(seen).__name__)
        seen = seen.__cause__
    return " <- ".join(texts)
