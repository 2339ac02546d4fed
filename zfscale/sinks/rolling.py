"""The rows of one table of a trial, written as they come: readers see them while the trial runs.

Rows go into files of `PART` rows each. A row's place decides its file, so an attempt that tells the same rows again
writes over what the one before it left, and no row is ever in two files. The last file grows: it is replaced by one
that has more rows. A trial of fewer rows has one file, whatever its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zfscale.results.layout import file_of
from zfscale.results.patience import patiently
from zfscale.results.schema import RECORDS
from zfscale.results.seal import digest, parquet
from zfscale.results.storage import Storage

BATCH = 4_096  # records that are kept as objects
PART = 16 * BATCH  # rows of a file, and rows that are kept in memory at most


class Rolling:
    """Rows in, files out.

    Args:
        there: The results.
        table: The table.
        trial_id: The trial.
    """

    def __init__(self, there: Storage, table: str, trial_id: str) -> None:
        self._there, self._table, self._trial_id = there, table, trial_id
        self._schema = RECORDS[table]
        self._records: list[Any] = []
        self._batches: list[pa.RecordBatch] = []
        self._kept = 0  # rows of both: those of the last file
        self._full: list[dict[str, Any]] = []
        self._last: dict[str, Any] | None = None  # the file that grows, as it is written

    def __len__(self) -> int:
        """How many rows were told."""
        return PART * len(self._full) + self._kept

    def add(self, record: Any) -> None:
        """Keep a row; once there are enough for a file, write it.

        Raises:
            StorageError: The storage refused for about a minute.
        """
        self._records.append(record)
        self._kept += 1
        if self._kept == PART:
            self._end()
        elif len(self._records) == BATCH:
            self._batch()

    def show(self) -> None:
        """Bring the last file up to date; one try. Errors: StorageError."""
        if self._kept and (self._last is None or self._last["rows"] < self._kept):
            self._write(patient=False)

    def close(self) -> dict[str, Any]:
        """Write what is left; what the trial's row says of its files: rows, bytes and SHA-256 of each.

        Raises:
            StorageError: The storage refused for about a minute.
        """
        stale = self._last is None or self._last["rows"] < self._kept
        if stale and (self._kept or not self._full):
            self._write()
        return _listed([*self._full, *([] if self._last is None else [self._last])])

    def adopt(self) -> dict[str, Any]:
        """The same of what an earlier attempt left, if nothing was told; a table that it left nothing of is empty."""
        found: list[dict[str, Any]] = []
        for number in count():
            data = self._there.read(file_of(self._table, self._trial_id, number))
            if data is None or (rows := _rows(data, self._schema)) is None:
                break
            found.append(_about(data, rows))
        if not found:
            return self.close()
        self._forget(len(found))
        return _listed(found)

    @property
    def there(self) -> bool:
        """Whether this attempt or one before has written anything."""
        return self._there.exists(file_of(self._table, self._trial_id))

    def _batch(self) -> None:
        if self._records:
            self._batches.append(_columns(self._records, self._schema))
            self._records = []

    def _end(self) -> None:
        """The last file is full."""
        self._write()
        assert self._last is not None
        self._full.append(self._last)
        self._batches, self._last, self._kept = [], None, 0

    def _write(self, patient: bool = True) -> None:
        self._batch()
        number, rows = len(self._full), pa.Table.from_batches(self._batches, _without(self._schema)).combine_chunks()
        mine = pa.repeat(pa.scalar(self._trial_id, pa.string()), len(rows))
        data = parquet(rows.add_column(0, self._schema.field(0), mine))
        if not number and self._last is None:
            self._forget(1)  # what an attempt before this one left
        name = file_of(self._table, self._trial_id, number)
        act = partial(self._there.write, name, data)
        patiently(act, f"{self._there}/{name}") if patient else act()
        self._last = _about(data, len(rows))

    def _forget(self, first: int) -> None:
        """Remove the files from this number on, the last first: what stays has no gap."""
        names = []
        for number in count(first):
            name = file_of(self._table, self._trial_id, number)
            if not self._there.exists(name):
                break
            names.append(name)
        for name in reversed(names):
            patiently(partial(self._there.remove, name), f"{self._there}/{name}")


def _about(data: bytes, rows: int) -> dict[str, Any]:
    return {"rows": rows, "bytes": len(data), "sha256": digest(data)}


def _listed(files: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The first file, and the others as `more` where there are any."""
    first, *more = files
    return {**first, "more": more} if more else first


def _rows(data: bytes, schema: pa.Schema) -> int | None:
    """How many rows a file has; None if it is damaged."""
    try:
        found = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read(use_threads=False)
    except Exception:  # whatever Arrow makes of bytes that are no Parquet
        return None
    return len(found) if found.schema.equals(schema) else None


def _without(schema: pa.Schema) -> pa.Schema:
    """The columns beside `trial_id`."""
    return pa.schema([schema.field(i) for i in range(1, len(schema))])


def _columns(records: Sequence[Any], schema: pa.Schema) -> pa.RecordBatch:
    columns = {name: [getattr(record, name) for record in records] for name in schema.names[1:] if name != "seed"}
    if "seed" in schema.names:  # an unsigned 64-bit seed is stored as the signed integer of the same bits
        columns["seed"] = [record.signed_seed for record in records]
    rest = _without(schema)
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in rest], schema=rest)
