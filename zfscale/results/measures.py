"""The table `measures`: metrics of a trial at steps of its past, a file per trial."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from zfscale.errors import ZfscaleError
from zfscale.results.layout import MEASURES, file_of
from zfscale.results.seal import intact, parquet
from zfscale.results.storage import Place, storage

SCHEMA = pa.schema(
    {
        "trial_id": pa.string(),
        "step": pa.int64(),  # how many the trial had taken
        "stage": pa.int64(),  # that it was in, or had just ended
        "task": pa.int64(),  # 0: all that it had seen
        "metric": pa.string(),
        "value": pa.float64(),
        "kind": pa.string(),  # what was asked for
        "data": pa.string(),  # other test data, as it was given; null for the trial's own
    }
)


class Measured(NamedTuple):
    """A metric of a trial as it was after so many steps."""

    step: int
    stage: int
    task: int
    metric: str
    value: float
    kind: str
    data: str | None = None


def keep(
    root: Place, trial_id: str, rows: Iterable[Measured], kinds: Collection[str], data: str | None
) -> list[Measured]:
    """Write the rows in place of earlier ones of these kinds and data; the others stay. Gives all that are there."""
    others = [row for row in kept(root, trial_id) if row.kind not in kinds or row.data != data]
    all_rows = sorted([*others, *rows], key=lambda row: (row.kind, row.data or "", row.step, row.stage, row.task))
    table = pa.Table.from_pylist([{"trial_id": trial_id, **row._asdict()} for row in all_rows], schema=SCHEMA)
    storage(root).write(file_of(MEASURES, trial_id), parquet(table, sealed=True))
    return all_rows


def kept(root: Place, trial_id: str) -> list[Measured]:
    """What was measured of a trial. Errors: ZfscaleError if the file is damaged."""
    data = storage(root).read(file_of(MEASURES, trial_id))
    if data is None:
        return []
    if not intact(data):
        raise ZfscaleError(f"{storage(root)}/{file_of(MEASURES, trial_id)}: damaged; remove it and measure again")
    rows = pq.read_table(pa.BufferReader(data)).select(list(Measured._fields)).to_pylist()
    return [Measured(**row) for row in rows]
