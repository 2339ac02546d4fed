"""The rows of a hub dataset, or of a local directory of the hub's format, as documents."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from itertools import chain
from pathlib import Path
from typing import Any

from zfscale.data.corpus import Corpus
from zfscale.data.embedded_texts import DOMAINS
from zfscale.data.file_sets import digests, matching, refuse
from zfscale.data.formats.base import Reader, Table
from zfscale.data.formats.catalogue import claimed
from zfscale.data.formats.catalogue import reader as reader_of
from zfscale.data.hub import not_loaded
from zfscale.data.notes import Notes
from zfscale.data.text_columns import NULL, TEXT, Row, documents, kind, text_column
from zfscale.errors import DataError

ASKING = 10.0  # seconds for the hub to say which revision it has
OPTION = "columns: {text: ...}"
TRAINING = ("train", "training")
FAILED = re.compile(r"Failed to (?:read file|read schema from|load JSON from file) '([^']*)'")


@dataclass(frozen=True)
class HubTexts:
    """`{hub: ID, config: ..., revision: ..., split: {train: ...}, columns: {text: ...}}` of a sweep file."""

    hub: str
    config: str | None = None
    revision: str | None = None
    split: str | None = None
    column: str | None = None

    @classmethod
    def of(cls, source: Any) -> HubTexts:
        """From a mapping, or an object with these attributes."""
        split, columns = _of(source, "split"), _of(source, "columns")
        hub, config, revision = (_of(source, key) for key in ("hub", "config", "revision"))
        return cls(hub, config, revision, _of(split, "train"), _of(columns, "text"))


def _of(source: Any, key: str) -> Any:
    return source.get(key) if isinstance(source, dict) else getattr(source, key, None)


def hub_texts(source: HubTexts, memory: Path | None) -> Corpus:
    """The corpus of a dataset; what is wrong with it is told when its documents are read."""
    what = [source.config, source.split, source.column, metadata.version("datasets")]
    if os.path.isdir(source.hub):
        found = matching(os.path.join(source.hub, "**", "*"))
        key = hashlib.sha256(os.path.abspath(source.hub).encode()).hexdigest()
        known, problems = digests(found.files, memory / f"files-{key}.json" if memory else None, lambda _: None)
        refuse([*found.problems, *problems], len(found.files) + len(found.problems))
        names = [os.path.relpath(file, os.path.abspath(source.hub)) for file in found.files]
        return Corpus([*what, *zip(names, known, strict=True)], partial(_documents, source, None))
    revision = revision_of(source.hub, source.revision)
    if memory is not None:
        asked = f"{source.hub} {source.revision}" if source.revision else source.hub
        revision = _remembered(memory / f"revision-{hashlib.sha256(asked.encode()).hexdigest()}", revision)
    revision = revision or source.revision
    return Corpus([source.hub, *what, revision], partial(_documents, source, revision))


def revision_of(dataset: str, revision: str | None = None) -> str | None:
    """The commit that the hub has of a dataset's revision now; None if it cannot be asked."""
    from huggingface_hub import HfApi

    try:
        wanted: dict[str, Any] = {"revision": revision} if revision else {}
        return HfApi().dataset_info(dataset, timeout=ASKING, **wanted).sha
    except Exception:  # the client's errors have no common base class; what is wrong is told when rows are read
        return None


def _remembered(file: Path, revision: str | None) -> str | None:
    """The revision, or the one that was written here last; None if neither is known."""
    try:
        if revision is None:
            return file.read_text() or None
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(revision)
    except OSError:  # as without a memory
        pass
    return revision


def _documents(source: HubTexts, revision: str | None, notes: Notes) -> Iterator[str]:
    where = f"dataset {source.hub!r}"
    with _told(source, where) as count:
        rows = _rows(source, revision, where, notes)
        columns = _columns(rows)
        if columns is None:
            rows = iter(rows)
            first = next(rows, None)
            columns = {} if first is None else {name: kind(value) for name, value in first.items()}
            rows = chain([] if first is None else [first], rows)
        if columns:
            column = text_column(columns, source.column, where, OPTION)
            _check_types(source, column, where)
            yield from documents(_placed(rows, column, where, count), column, OPTION, notes)


def _placed(rows: Any, column: str, where: str, count: list[int]) -> Iterator[Row]:
    """Rows by number, from 0; `count` holds how many have been read."""
    for number, row in enumerate(rows):
        count[0] = number
        if column not in row:
            raise DataError(f"{where}, row {number}: has no column {column!r}; columns: {', '.join(row)}")
        yield f"{where}, row {number}", row[column]
        count[0] = number + 1


def _check_types(source: HubTexts, column: str, where: str) -> None:
    """Refuse JSON lines of a local directory that hold something else there: the client makes text of numbers."""
    for file, reader in _files(source.hub) if os.path.isdir(source.hub) else ():
        if not (isinstance(reader, Table) and reader.facts.free_rows):
            continue
        type = (reader.columns(file) or {}).get(column, TEXT)
        if type not in (TEXT, NULL):
            raise DataError(f"{where}: {file}: column {column!r} holds {type}, not text, in the first row")


def _rows(source: HubTexts, revision: str | None, where: str, notes: Notes) -> Any:
    """The split to train on, streamed: the one asked for, the one of that name, else the first."""
    import datasets

    name = [source.config] if source.config is not None else []
    options = {"revision": revision} if revision else {}
    splits = datasets.load_dataset(source.hub, *name, streaming=True, **options)
    if source.split is not None:
        if source.split not in splits:
            raise DataError(f"{where}: has no split {source.split!r}; splits: {', '.join(splits)}")
        return splits[source.split]
    chosen = next((split for split in splits if split.lower() in TRAINING), next(iter(splits)))
    if len(splits) > 1 and chosen.lower() not in TRAINING:
        notes.say(f"split {chosen!r} is read, of {', '.join(splits)}; split: {{train: ...}} names another")
    return splits[chosen]


def _columns(rows: Any) -> dict[str, str] | None:
    """Name -> type of the columns, as `text_column` takes them; None where only rows tell."""
    features = getattr(rows, "features", None)
    if not features:
        return None
    return {name: _type(feature) for name, feature in features.items()}


def _type(feature: Any) -> str:
    dtype = getattr(feature, "dtype", None)
    if type(feature).__name__ != "Value":
        return type(feature).__name__
    return TEXT if dtype in ("string", "large_string") else NULL if dtype == "null" else str(dtype)


@contextmanager
def _told(source: HubTexts, where: str) -> Iterator[list[int]]:
    """Whatever the client raises becomes one line with dataset, file and row, as far as they are known.

    The list holds how many rows have been read.
    """
    count = [0]
    with _named_files() as files:
        try:
            yield count
        except DataError as error:
            if where in str(error):
                raise
            raise DataError(f"{where}: {error}") from error
        except StopIteration as error:  # of the client's, where a file is empty
            raise DataError(f"{where}: has no rows") from error
        except Exception as error:
            after = f"; after {count[0]:,} rows" if count[0] else ""
            if found := _culprit(source.hub) if os.path.isdir(source.hub) else None:
                raise DataError(f"{where} cannot be read: {found}{after}") from error
            zst = "; .zst needs pip install zstandard, or {path: ..., format: jsonl}" if "zst" in str(error) else ""
            named = f"; file: {files[-1]}" if files else ""
            told = not_loaded(source.hub, error, DOMAINS, "{path: GLOB, format: text}")
            raise DataError(f"{told}{named}{after}{zst}") from error


@contextmanager
def _named_files() -> Iterator[list[str]]:
    """The files that the client could not read: its log says so, in several lines, and its errors do not."""
    found: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        match = FAILED.match(record.getMessage())
        found.extend([match[1]] if match else [])
        return match is None

    handlers = list(logging.getLogger("datasets").handlers)
    for handler in handlers:
        handler.addFilter(keep)
    try:
        yield found
    finally:
        for handler in handlers:
            handler.removeFilter(keep)


def _files(directory: str) -> Iterator[tuple[str, Reader]]:
    """The files of a directory of the hub's format that the client takes for texts or tables, with our own readers."""
    for file in matching(os.path.join(directory, "**", "*")).files:
        format = "text" if file.endswith(".txt") else claimed(file)
        if format is not None:
            yield file, reader_of(format)


def _culprit(directory: str) -> str | None:
    """What our own readers find wrong in a local directory: they know file, line and row."""
    first: dict[str, tuple[str, list[str]]] = {}
    for file, reader in _files(directory):
        try:
            reader.check(file)
            columns = list(reader.columns(file) or ()) if isinstance(reader, Table) else []
            reader.read_through(file)
        except DataError as error:
            return str(error)
        other, others = first.setdefault(reader.name, (file, columns))
        if columns and columns != others:
            return f"{file}: has other columns ({', '.join(columns)}) than {other} ({', '.join(others)})"
    return None
