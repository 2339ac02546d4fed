"""CSV, or TSV by its name, below a header: all columns hold text; lines count from 1."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath

from zfscale.data.formats.base import Table
from zfscale.data.formats.lines import LONGEST, lines
from zfscale.data.notes import Notes
from zfscale.data.text_columns import TEXT, Row, names_of
from zfscale.errors import DataError


class Csv(Table):
    """The reader of CSV."""

    def columns(self, file: str) -> dict[str, str] | None:
        """The header's."""
        header = next(self._records(file, Notes()), None)
        return None if header is None else dict.fromkeys(_separated(file, header[1]), TEXT)

    def rows(self, file: str, column: str, notes: Notes) -> Iterator[Row]:
        """Every record below the header, by the line that it ends in; each has as many fields as the header."""
        records = self._records(file, notes)
        header = _separated(file, next(records, (0, [column]))[1])
        if (count := header.count(column)) != 1:
            problem = f"has {count} columns {column!r}" if count else f"has no column {column!r}"
            raise DataError(f"{file}: {problem}; columns: {names_of(header)}")
        at = header.index(column)
        for line, record in records:
            where = f"{file}, line {line}"
            if len(record) != len(header):
                raise DataError(f"{where}: has {len(record)} fields, the header has {len(header)}: {names_of(header)}")
            yield where, record[at]

    def read_through(self, file: str) -> None:
        """Read all records, whatever the header says."""
        deque(self._records(file, Notes()), maxlen=0)

    def _records(self, file: str, notes: Notes) -> Iterator[tuple[int, list[str]]]:
        """The line that each record ends in, and its fields; the first is the header."""
        tabs = ".tsv" in PurePath(file.lower()).suffixes
        reader = csv.reader(lines(file, self.encoding, notes), delimiter="\t" if tabs else ",", strict=True)
        while True:
            with _long_fields():
                try:
                    record = next(reader, None)
                except csv.Error as error:
                    raise DataError(f"{file}, line {reader.line_num}: is no CSV: {error}") from error
            if record is None:
                return
            if record:  # not a blank line
                yield reader.line_num, record


@contextmanager
def _long_fields() -> Iterator[None]:
    """The csv module's limit, of 128 KiB a field for all its readers, is put back."""
    before = csv.field_size_limit(LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _separated(file: str, header: list[str]) -> list[str]:
    """The header as it is; DataError if it is one field only because other marks than commas separate it."""
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise DataError(
            f"{file}: is not separated by commas (its header is {names_of(header)!r}); write it with commas"
        )
    return header
