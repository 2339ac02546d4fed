"""The schema of the four tables: one file per trial and table, `<table>/<trial_id>.parquet`."""

from __future__ import annotations

import pyarrow as pa

from zfscale.metrics.catalogue import MEASURES
from zfscale.records import ABOUT
from zfscale.results.layout import EVALS, LEDGER, STEPS

RECORDS: dict[str, pa.Schema] = {
    EVALS: pa.schema(
        {
            "trial_id": pa.string(),
            "stage": pa.int64(),
            "task": pa.int64(),
            "metric": pa.string(),
            "value": pa.float64(),
        }
    ),
    STEPS: pa.schema(
        {
            "trial_id": pa.string(),
            "task": pa.int64(),
            "step": pa.int64(),
            "loss": pa.float64(),
            "lr": pa.float64(),
            "forwards": pa.int64(),
            "seconds": pa.float64(),
        }
    ),
    LEDGER: pa.schema(
        {
            "trial_id": pa.string(),
            "task": pa.int64(),
            "step": pa.int64(),
            "query": pa.int64(),
            "seed": pa.int64(),
            "coefficient": pa.float64(),
            "accepted": pa.int8(),
        }
    ),
}
HEAD = pa.schema({"trial_id": pa.string(), "status": pa.string(), "spec": pa.string()})
ARROW: dict[type, pa.DataType] = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
TAIL = pa.schema(
    {
        **{measure.name: ARROW[measure.type] for measure in MEASURES},
        **{name: ARROW[kind] for name, kind in ABOUT.items()},
        "files": pa.string(),  # JSON object: table -> rows, bytes and SHA-256 of the trial's file there
    }
)
