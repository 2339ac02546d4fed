"""A user's own files as documents: plain text, or tables with a column of it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import Any

from zfscale.data.corpus import Corpus
from zfscale.data.file_sets import digest, digests, matching, refuse, size
from zfscale.data.formats import catalogue as formats
from zfscale.data.formats.base import OPTION, Reader, Table
from zfscale.data.notes import Notes
from zfscale.data.text_columns import names_of, text_column
from zfscale.errors import DataError
from zfscale.registry import is_path


@dataclass(frozen=True)
class UserTexts:
    """`{path: GLOB, format: ..., column: ..., encoding: ...}` of a sweep file."""

    path: str
    format: str = "text"
    column: str | None = None
    encoding: str = "utf-8"

    @classmethod
    def of(cls, source: Any) -> UserTexts:
        """From a mapping, or an object with these attributes."""
        values = source if isinstance(source, dict) else vars(source)
        return cls(**{key: values[key] for key in cls.__dataclass_fields__ if key in values})


def user_texts(source: UserTexts, memory: Path | None) -> Corpus:
    """The corpus of the files, each looked at, and told from others by their contents, wherever they lie.

    Args:
        source: the user's.
        memory: a directory where is remembered what files hold as long as they do not change.

    Raises:
        DataError: if no file matches, or with all files that cannot be what the source says.
    """
    found = matching(source.path)
    reader = formats.reader(source.format, source.encoding)
    schema = _Schema(source, reader, found.files)

    def check(file: str) -> None:
        reader.check(file)
        schema.check(file)

    code = _code(source.format, reader)
    key = hashlib.sha256(json.dumps([*vars(source).values(), *code]).encode()).hexdigest()
    known, problems = digests(found.files, memory / f"files-{key}.json" if memory is not None else None, check)
    refuse([*found.problems, *problems], len(found.files) + len(found.problems))
    return Corpus(
        [source.format, source.column, source.encoding, known, *code],
        partial(_documents, found.files, reader, schema),
        tuple(found.notes),
        sum(size(file) for file in found.files),
    )


def _code(format: str, reader: Reader) -> list[str]:
    """What tells a user's own reader from what it was before a change; nothing for one of ours."""
    source = sys.modules[type(reader).__module__].__file__ if is_path(format) else None
    return [] if source is None else [digest(source)]


def _documents(files: Sequence[str], reader: Reader, schema: _Schema, notes: Notes) -> Iterator[str]:
    for file in files:
        if not size(file):
            notes.add("empty files", file)
    column = schema.column
    return chain.from_iterable(reader.documents(file, column, notes) for file in files)


class _Schema:
    """The columns of the first file that has a row, which those of the others are compared with."""

    def __init__(self, source: UserTexts, reader: Reader, files: Sequence[str]) -> None:
        self._source, self._reader, self._files = source, reader, files

    def check(self, file: str) -> None:
        """Refuse a table whose column of text is not that of the first one.

        Where the user has named no column, it was chosen by all columns, and all have to be the same.
        """
        if (found := self._read(file)) is None or self._first is None:
            return
        columns, column = found
        first, others, chosen = self._first
        free = self._source.column is not None or self._reader.facts.free_rows
        if column != chosen or not (free or columns == others):
            raise DataError(
                f"{file}: has other columns ({names_of(columns)}) than {first} ({names_of(others)}); "
                f"{OPTION} names one that all have"
            )

    @property
    def column(self) -> str:
        """The name of the column of text."""
        return self._first[2] if self._first is not None else self._source.column or "text"

    @cached_property
    def _first(self) -> tuple[str, list[str], str] | None:
        for file in self._files:
            with suppress(DataError):  # which is that file's own
                if found := self._read(file):
                    return file, *found
        return None

    def _read(self, file: str) -> tuple[list[str], str] | None:
        """All columns and the one of text; None for a file without a row, or a format without columns."""
        columns = self._reader.columns(file) if isinstance(self._reader, Table) else None
        if columns is None:
            return None
        # a CSV does not say what is text, nor whether its first line is a header: no other column is taken for it
        wanted = self._source.column or (None if self._reader.facts.typed else "text")
        return list(columns), text_column(columns, wanted, file, OPTION)
