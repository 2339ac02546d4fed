"""The schema of the four tables: one file per trial and table, `<table>/<trial_id>.parquet`."""

from __future__ import annotations

import pyarrow as pa

RECORDS: dict[str, pa.Schema] = {
    "evals": pa.schema(
        {
            "trial_id": pa.string(),
            "stage": pa.int64(),
            "task": pa.int64(),
            "metric": pa.string(),
            "value": pa.float64(),
        }
    ),
    "steps": pa.schema(
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
    "ledger": pa.schema(
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
TAIL = pa.schema(
    {
        "avg_accuracy": pa.float64(),
        "last_accuracy": pa.float64(),
        "forgetting": pa.float64(),
        "bwt": pa.float64(),
        "fwt": pa.float64(),
        "final_loss": pa.float64(),
        "perplexity": pa.float64(),
        "bits_per_byte": pa.float64(),
        "learning_gain": pa.float64(),
        "upstream_loss": pa.float64(),
        "tokens": pa.int64(),
        "seconds": pa.float64(),
        "forwards": pa.int64(),
        "peak_memory_bytes": pa.int64(),
        "node": pa.string(),
        "bytes_sent": pa.int64(),
        "attempts": pa.int64(),
        "error": pa.string(),
        "versions": pa.string(),
        "files": pa.string(),  # JSON object: table -> rows, bytes and SHA-256 of the trial's file there
    }
)
TABLES = ("trials", *RECORDS)


def file_of(table: str, trial_id: str) -> str:
    """The name of a trial's file in a table, relative to the results.

    >>> file_of("evals", "0123456789ab")
    'evals/0123456789ab.parquet'
    """
    return f"{table}/{trial_id}.parquet"
