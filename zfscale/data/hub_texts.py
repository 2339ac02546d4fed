"""The rows of a hub dataset, or of a local directory of the hub's format, as documents."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from zfscale.data import sniff, text_tables
from zfscale.data.corpus import Corpus
from zfscale.data.embedded_texts import DOMAINS
from zfscale.data.file_sets import digests, matching, refuse
from zfscale.data.hub import not_loaded
from zfscale.data.notes import Notes
from zfscale.data.text_columns import NULL, TEXT, Row, documents, kind, text_column
from zfscale.errors import DataError
from zfscale.spec.formats import table_format

ASKING = 10.0  # seconds for the hub to say which revision it has
OPTION = "columns: {text: ...}"
TRAINING = ("train", "training")


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
    with _told(source, f"{where}") as place:
        rows = _rows(source, revision, where, notes)
        columns = _columns(rows)
        first: Mapping[str, Any] = {}
        if columns is None:
            rows = iter(rows)
            first = next(rows, {})
            columns = {name: kind(value) for name, value in first.items()}
        if not columns:
            return
        column = text_column(columns, source.column, where, OPTION)
        yield from documents(_placed(first, rows, column, where, place), column, OPTION, notes)


def _placed(first: Mapping[str, Any], rows: Any, column: str, where: str, place: list[int]) -> Iterator[Row]:
    """Rows by number, from 0; `place` holds the number of the one that is being read."""
    if first:
        yield f"{where}, row 0", first[column]
        place[0] = 1
    for row in rows:
        if column not in row:
            raise DataError(f"{where}, row {place[0]}: has no column {column!r}; columns: {', '.join(row)}")
        yield f"{where}, row {place[0]}", row[column]
        place[0] += 1


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
        notes.add(f"split {chosen!r} is read, of {', '.join(splits)}; split: {{train: ...}} names another", where)
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
    """Whatever the client raises becomes one line with dataset, row and file, as far as they are known."""
    place = [0]
    with _named_files() as files:
        try:
            yield place
        except DataError:
            raise
        except Exception as error:
            if os.path.isdir(source.hub) and (found := _culprit(source)):
                raise DataError(f"{where}, row {place[0]}: cannot be read: {found}") from error
            told = not_loaded(source.hub, error, DOMAINS, "{path: GLOB, format: text}")
            raise DataError(str(told) + _behind(place[0], files, error)) from error


def _behind(row: int, files: list[str], error: Exception) -> str:
    parts = [f"; after row {row - 1}"] if row else []
    parts += [f"; file: {files[-1]}"] if files else []
    parts += ["; pip install zstandard reads .zst"] if "zst" in str(error) else []
    return "".join(parts)


@contextmanager
def _named_files() -> Iterator[list[str]]:
    """The files that the client's log says it could not read, as its errors do not."""
    found: list[str] = []

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if match := re.search(r"Failed to read (?:file|schema from) '([^']*)'", record.getMessage()):
                found.append(match[1])

    reader, log = Reader(level=logging.ERROR), logging.getLogger("datasets")
    log.addHandler(reader)
    try:
        yield found
    finally:
        log.removeHandler(reader)


def _culprit(source: HubTexts) -> str | None:
    """What our own readers find wrong in the tables of a local directory: they know file, line and row."""
    first: tuple[str, list[str]] | None = None
    for file in matching(os.path.join(source.hub, "**", "*")).files:
        format = "jsonl" if file.endswith(".json") else table_format(file)
        if format is None:
            continue
        try:
            sniff.look(file, format, "utf-8")
            columns = text_tables.columns(file, format, "utf-8")
            text_tables.read_through(file, format, "utf-8")
        except DataError as error:
            return str(error)
        if columns is None:
            continue
        first = first or (file, list(columns))
        if list(columns) != first[1]:
            return f"{file}: has other columns ({', '.join(columns)}) than {first[0]} ({', '.join(first[1])})"
    return None
