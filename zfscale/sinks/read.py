"""Reading a results directory back: what is done already, and rows for the report."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from zfscale.sinks.parquet import HEAD, RECORDS, TAIL
from zfscale.storage import Place, storage

_SCHEMAS = {**RECORDS, "trials": pa.schema([*HEAD, *TAIL])}


def rows(root: Place, table: str, columns: Sequence[str], where: ds.Expression | None = None) -> pa.Table:
    """The fixed columns of one table over all trials, in order of file name; only these are read.

    An absent directory has zero rows. A file that is not Parquet, or has no `trial_id`, is passed over.
    Columns of the spec are not offered, since sweeps may add leaves; they are in `trials.spec`.
    """
    schema, there = _SCHEMAS[table], storage(root)
    files = [there.path(name) for name in there.names(table) if name.endswith(".parquet") and "/." not in name]
    if not files:
        return schema.empty_table().select(columns)
    known = pc.field("trial_id").is_valid()
    dataset = ds.dataset(files, schema=schema, format="parquet", filesystem=there.files, exclude_invalid_files=True)
    return dataset.to_table(columns=list(columns), filter=known if where is None else known & where)


def statuses(root: Place) -> dict[str, str]:
    """Trial id -> "finished" | "failed", for every trial that ended.

    >>> statuses("no/such/results")
    {}
    """
    return _column(root, "status")


def attempts(root: Place) -> dict[str, int]:
    """Trial id -> how many times it was started, for every trial that ended."""
    return _column(root, "attempts")


def _column(root: Place, name: str) -> dict:
    table = rows(root, "trials", ["trial_id", name])
    return dict(zip(table["trial_id"].to_pylist(), table[name].to_pylist(), strict=True))
