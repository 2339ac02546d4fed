"""Reading a results directory back: what is done already, and rows for the report. Only whole trials count."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zfscale.errors import StorageError
from zfscale.records import Status
from zfscale.results.check import COLUMNS, look
from zfscale.results.layout import TRIALS, file_of
from zfscale.results.listing import Listing
from zfscale.results.packed import packs, rows_of
from zfscale.results.reading import each
from zfscale.results.schema import RECORDS
from zfscale.results.storage import Place, storage

TRIES = 5  # of reading a table while its files are merged


def rows(
    root: Place,
    table: str,
    columns: Sequence[str],
    where: pc.Expression | None = None,
    trials: Collection[str] | None = None,
) -> pa.Table:
    """The fixed columns of one table over all trials, or those given, in order of trial; only these are read.

    An absent directory has zero rows. Of `trials`, damaged files are passed over; those of the other tables must be
    whole, which `look` says. Columns of the spec are not offered: sweeps may add leaves; they are in `trials.spec`.
    """
    if table == TRIALS:
        found = look(root, columns, only=trials, all_tables=False).rows
        kept = pa.Table.from_pylist(found, schema=pa.schema([COLUMNS.field(name) for name in columns]))
        return kept if where is None else kept.filter(where)
    for _ in range(TRIES):
        listing = Listing.of(storage(root), [table])
        try:
            found = [part.select(RECORDS[table].names) for part in _parts(listing, table, trials)]
            break
        except FileNotFoundError:  # files have just been merged
            pass
    else:
        raise StorageError(f"{root}/{table}: files go while they are read")
    kept = pa.concat_tables([RECORDS[table].empty_table(), *found])
    return (kept if where is None else kept.filter(where)).select(columns)


def _parts(listing: Listing, table: str, trials: Collection[str] | None) -> Iterator[pa.Table]:
    """The rows of trials' own files, then those in files of many."""
    own = listing.own[table]
    mine = [name for name in own if trials is None or name in trials]

    def read(name: str) -> pa.Table:
        data = listing.read(name)
        if data is None:
            raise FileNotFoundError(name)
        return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)

    names = [file_of(table, name, number) for name in mine for number in sorted(own[name])]
    yield from each(listing.there, names, read)
    for _, pack in packs(listing, table):
        if pack is not None:
            yield from rows_of(pack, trials)


def statuses(root: Place, only: Collection[str] | None = None) -> dict[str, Status]:
    """Trial id -> how it ended, for every trial that ended and whose files are whole.

    >>> statuses("no/such/results")
    {}
    """
    return {row["trial_id"]: Status(row["status"]) for row in look(root, only=only).rows}


def versions(text: str | None) -> dict[str, Any]:
    """What the column `versions` of `trials` says; empty where it holds no JSON object.

    >>> versions('{"arithmetic": "2"}'), versions(None)
    ({'arithmetic': '2'}, {})
    """
    try:
        found = json.loads(text or "")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
