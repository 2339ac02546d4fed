"""Parquet, a few rows in memory at once; rows count from 0."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zfscale.data.compression import unpacked
from zfscale.data.formats.base import Table
from zfscale.data.hub import reason
from zfscale.data.notes import Notes
from zfscale.data.text_columns import NULL, TEXT, Row
from zfscale.errors import DataError

MAGIC = b"PAR1"
ROWS = 256  # that are decoded at once


class Parquet(Table):
    """The reader of Parquet."""

    def look(self, file: str) -> None:
        """Refuse what does not begin as Parquet, or was compressed as a whole."""
        with unpacked(file) as stream, open(file, "rb") as raw:
            head, first = stream.read(4), raw.read(4)
            if not first or first == head == MAGIC:
                return
        if head == MAGIC:
            raise DataError(f"{file}: is a Parquet file that was compressed as a whole; unpack it")
        raise DataError(f"{file}: is no Parquet file: it starts with {first!r}; write the format that it has")

    def columns(self, file: str) -> dict[str, str] | None:
        """Those of the schema."""
        if not os.path.getsize(file):
            return None
        with _opened(file) as table:
            return {field.name: _kind(field.type) for field in table.schema_arrow}

    def rows(self, file: str, column: str, notes: Notes) -> Iterator[Row]:
        """Every row; DataError for a text that is no UTF-8."""
        if not os.path.getsize(file):
            return
        with _opened(file) as table:
            number = 0
            for batch in table.iter_batches(batch_size=ROWS, columns=[column], use_threads=False):
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


@contextmanager
def _opened(file: str) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with (
            open(file, "rb") as raw,
            parquet.ParquetFile(raw, buffer_size=1 << 20, pre_buffer=False, page_checksum_verification=True) as table,
        ):
            yield table
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{file}: cannot be read as Parquet: {reason(error)}") from error


def _kind(type: Any) -> str:
    import pyarrow as pa

    if pa.types.is_dictionary(type):
        type = type.value_type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if any(of(type) for of in texts):
        return TEXT
    return NULL if pa.types.is_null(type) else str(type)
