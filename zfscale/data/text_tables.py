"""Tables of text in files: JSON lines, CSV and Parquet; a document a row, in bounded memory.

Places: lines count from 1, rows of Parquet from 0.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

from zfscale.data.compression import unpacked
from zfscale.data.decode import decoded
from zfscale.data.hub import reason
from zfscale.data.notes import Notes
from zfscale.data.text_columns import NULL, TEXT, Row, documents, kind, names_of
from zfscale.errors import DataError

LONGEST = 1 << 28  # characters of a row
ROWS = 256  # of Parquet that are decoded at once
OPTION = "column:"


def table_files(files: Iterable[str], format: str, column: str, encoding: str, notes: Notes) -> Iterator[str]:
    """The documents of tables of one format; `column` is the one of text."""
    for file in files:
        yield from documents(rows(file, format, column, encoding, notes), column, OPTION, notes)


def rows(file: str, format: str, column: str, encoding: str, notes: Notes) -> Iterator[Row]:
    """Each row's place and value of `column`; DataError with file and row where the table is damaged."""
    if format == "parquet":
        yield from _parquet_rows(file, column)
    elif format == "csv":
        yield from _csv_rows(file, column, encoding, notes)
    else:
        for where, row in _objects(file, encoding, notes):
            if column not in row:
                raise DataError(f"{where}: has no column {column!r}; columns: {names_of(row)}")
            yield where, row[column]


def columns(file: str, format: str, encoding: str) -> dict[str, str] | None:
    """Name -> type of the columns, as `text_column` takes them; None for a file without a row.

    JSON lines have the columns of their first row.
    """
    if format == "parquet":
        return _parquet_columns(file)
    if format == "csv":
        header = next(_records(file, encoding, Notes()), None)
        return None if header is None else dict.fromkeys(_separated(file, header[1]), TEXT)
    first = next(_objects(file, encoding, Notes()), None)
    return None if first is None else {name: kind(value) for name, value in first[1].items()}


def read_through(file: str, format: str, encoding: str) -> None:
    """Read a table for its errors only."""
    for column in list(columns(file, format, encoding) or ()) if format == "parquet" else ():
        for _ in _parquet_rows(file, column):
            pass
    for _ in _records(file, encoding, Notes()) if format == "csv" else ():
        pass
    for _ in _objects(file, encoding, Notes()) if format == "jsonl" else ():
        pass


def _lines(file: str, encoding: str, notes: Notes) -> Iterator[str]:
    r"""Lines with their ends, which are `\n` alone: JSON and CSV may hold all others within a value."""
    with unpacked(file) as stream:
        rest: list[str] = []
        number = length = 0
        for part in decoded(stream, file, os.path.getsize(file), encoding, notes):
            first, *more = part.split("\n")
            rest.append(first)
            length += len(first)
            for line in more:
                yield "".join([*rest, "\n"])
                rest, length, number = [line], len(line), number + 1
            if length > LONGEST:
                raise DataError(f"{file}, line {number + 1}: is longer than {LONGEST:,} characters; is it JSON lines?")
        if last := "".join(rest):
            yield last


def _objects(file: str, encoding: str, notes: Notes) -> Iterator[tuple[str, dict[str, Any]]]:
    """The place and the object of each line that is not blank."""
    for number, line in enumerate(_lines(file, encoding, notes), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(f"{where}: is no JSON: {reason}; expected one object a line") from error
        if not isinstance(row, dict):
            raise DataError(f"{where}: is {kind(row)}; expected one JSON object a line")
        yield where, row


def _records(file: str, encoding: str, notes: Notes) -> Iterator[tuple[int, list[str]]]:
    """The line that each record of a CSV ends in, and its fields; the first is the header."""
    tabs = ".tsv" in PurePath(file.lower()).suffixes
    reader = csv.reader(_lines(file, encoding, notes), delimiter="\t" if tabs else ",", strict=True)
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


def _csv_rows(file: str, column: str, encoding: str, notes: Notes) -> Iterator[Row]:
    records = _records(file, encoding, notes)
    header = _separated(file, next(records, (0, [column]))[1])
    if header.count(column) != 1:
        problem = f"has {header.count(column)} columns {column!r}" if column in header else f"has no column {column!r}"
        raise DataError(f"{file}: {problem}; columns: {names_of(header)}")
    at = header.index(column)
    for line, record in records:
        where = f"{file}, line {line}"
        if len(record) != len(header):
            raise DataError(f"{where}: has {len(record)} fields, the header has {len(header)}: {names_of(header)}")
        yield where, record[at]


def _separated(file: str, header: list[str]) -> list[str]:
    """The header as it is; DataError if it is one field only because other marks than commas separate it."""
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise DataError(
            f"{file}: is not separated by commas (its header is {names_of(header)!r}); write it with commas"
        )
    return header


@contextmanager
def _parquet(file: str) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with (
            open(file, "rb") as raw,
            parquet.ParquetFile(raw, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True) as opened,
        ):
            yield opened
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as Parquet: {reason(error)}") from error


def _parquet_columns(file: str) -> dict[str, str] | None:
    import pyarrow as pa

    if not os.path.getsize(file):
        return None
    with _parquet(file) as opened:
        return {field.name: _arrow_kind(pa, field.type) for field in opened.schema_arrow}


def _arrow_kind(pa: Any, type: Any) -> str:
    if pa.types.is_dictionary(type):
        type = type.value_type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(of(type) for of in texts):
        return TEXT
    return NULL if pa.types.is_null(type) else str(type)


def _parquet_rows(file: str, column: str) -> Iterator[Row]:
    if not os.path.getsize(file):
        return
    with _parquet(file) as opened:
        number = 0
        for batch in opened.iter_batches(batch_size=ROWS, columns=[column], use_threads=False):
            for value in batch.column(0):
                where = f"{file}, row {number}"
                try:
                    text = value.as_py()
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{where}: column {column!r} is no UTF-8: byte {error.start} of the text"
                    ) from error
                yield where, text
                number += 1
