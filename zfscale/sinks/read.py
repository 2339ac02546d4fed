"""Reading a results directory back: what is done already, and rows for the report. Only whole trials count."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from zfscale.results.check import NAME, TRIALS, look
from zfscale.results.schema import RECORDS, file_of
from zfscale.storage import Place, storage


def rows(
    root: Place,
    table: str,
    columns: Sequence[str],
    where: ds.Expression | None = None,
    trials: Collection[str] | None = None,
) -> pa.Table:
    """The fixed columns of one table over all trials, or those given, in order of trial; only these are read.

    An absent directory has zero rows. Of `trials`, damaged files are passed over; those of the other tables must be
    whole (`look` tells). Columns of the spec are not offered, since sweeps may add leaves; they are in `trials.spec`.
    """
    if table == "trials":
        found = look(root, columns, only=trials, all_tables=False).rows
        kept = pa.Table.from_pylist(found, schema=pa.schema([TRIALS.field(name) for name in columns]))
        return kept if where is None else kept.filter(where)
    schema, there = RECORDS[table], storage(root)
    names = (match[1] for name in there.names(table) if (match := NAME.fullmatch(name.rpartition("/")[2])))
    files = [there.path(file_of(table, name)) for name in names if trials is None or name in trials]
    if not files:
        return schema.empty_table().select(columns)
    known = pc.field("trial_id").is_valid()
    dataset = ds.dataset(files, schema=schema, format="parquet", filesystem=there.files)
    return dataset.to_table(columns=list(columns), filter=known if where is None else known & where)


def statuses(root: Place, only: Collection[str] | None = None) -> dict[str, str]:
    """Trial id -> "finished" | "failed", for every trial that ended and whose files are whole.

    >>> statuses("no/such/results")
    {}
    """
    return {row["trial_id"]: row["status"] for row in look(root, only=only).rows}


def attempts(root: Place) -> dict[str, int]:
    """Trial id -> how many times it was started, for every trial that ended."""
    return {row["trial_id"]: row["attempts"] for row in look(root, ["attempts"]).rows}
