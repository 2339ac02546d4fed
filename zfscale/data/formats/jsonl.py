"""JSON lines: an object a line, each with columns of its own; lines count from 1."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from typing import Any

from zfscale.data.formats.base import Table
from zfscale.data.formats.lines import lines
from zfscale.data.notes import Notes
from zfscale.data.text_columns import Row, kind, names_of
from zfscale.errors import DataError


class JsonLines(Table):
    """The reader of JSON lines."""

    json_lines = True

    def columns(self, file: str) -> dict[str, str] | None:
        """Those of the first row."""
        first = next(self._objects(file, Notes()), None)
        return None if first is None else {name: kind(value) for name, value in first[1].items()}

    def rows(self, file: str, column: str, notes: Notes) -> Iterator[Row]:
        """Every line that is not blank; DataError for one that has no such column."""
        for where, row in self._objects(file, notes):
            if column not in row:
                raise DataError(f"{where}: has no column {column!r}; columns: {names_of(row)}")
            yield where, row[column]

    def read_through(self, file: str) -> None:
        """Read all objects, whatever their columns are."""
        deque(self._objects(file, Notes()), maxlen=0)

    def _objects(self, file: str, notes: Notes) -> Iterator[tuple[str, dict[str, Any]]]:
        """The place and the object of each line that is not blank."""
        for number, line in enumerate(lines(file, self.encoding, notes), start=1):
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
