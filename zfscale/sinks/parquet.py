"""Parquet, the truth: four tables, one file per trial and table, each whole or absent.

    <root>/evals/<trial_id>.parquet    metrics after each stage
    <root>/steps/<trial_id>.parquet    training steps
    <root>/ledger/<trial_id>.parquet   zeroth-order queries
    <root>/trials/<trial_id>.parquet   spec and outcome; written last, so it commits the other three

The `trials` file has its own checksum, and a column `files` with those of the other three (see `zfscale.results`).
A trial that runs again writes the same names, so it never shows twice. A failed one keeps the rows it had told: whoever
reads results must ask `trials.status`. Each table is a plain dataset:
`pandas.read_parquet(dir)`, `polars.read_parquet(dir)` and DuckDB's `from 'dir/*.parquet'` read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results.layout import EVALS, LEDGER, STEPS, TRIALS, file_of
from zfscale.results.patience import patiently
from zfscale.results.schema import ARROW, HEAD, RECORDS, TAIL
from zfscale.results.seal import digest, parquet
from zfscale.results.storage import storage
from zfscale.sinks.about import About, Scalar


class ParquetSink:
    """Collects a trial's records and writes them when it closes; until then nothing is written.

    Args:
        about: The trial. A leaf that is None, and whose type is not named, is a text column.
        options: There are none.

    Raises:
        ValueError: A leaf has the name of another column, or a type outside bool, int, float, str.
    """

    def __init__(self, about: About, options: None = None) -> None:
        self.storage, self.trial_id, self.spec_json = storage(about.root), about.trial_id, about.spec_json
        self.leaves = dict(about.leaves)
        self.schema = _trials_schema(self.leaves, about.types)
        self._rows: dict[str, list[Any]] = {EVALS: [], STEPS: [], LEDGER: []}

    def step(self, record: Step) -> None:
        """Keeps one training step."""
        self._rows[STEPS].append(record)

    def query(self, record: Query) -> None:
        """Keeps one query; an unsigned 64-bit seed is stored as the signed integer of the same bits."""
        self._rows[LEDGER].append(record)

    def eval(self, record: Eval) -> None:
        """Keeps one metric."""
        self._rows[EVALS].append(record)

    def close(self, outcome: Outcome) -> None:
        """Writes the tables, `trials` last; a failed trial that has told nothing leaves its `trials` row only.

        Raises:
            StorageError: The disk refused for about a minute; no file is then half written.
        """
        files: dict[str, dict[str, Any]] = {}
        kept = outcome.status is not Status.FAILED or any(self._rows.values())
        if kept:
            for table, rows in self._rows.items():
                data = parquet(_columns(self.trial_id, rows, RECORDS[table]))
                self._write(table, data)
                files[table] = {"rows": len(rows), "bytes": len(data), "sha256": digest(data)}
        row = {"trial_id": self.trial_id, "spec": self.spec_json, **self.leaves, **outcome.row()}
        row["files"] = json.dumps(files)
        self._write(TRIALS, parquet(pa.Table.from_pylist([row], schema=self.schema), sealed=True))
        if not kept:
            for table in RECORDS:
                name = file_of(table, self.trial_id)
                patiently(partial(self.storage.remove, name), f"{self.storage}/{name}")

    def _write(self, table: str, data: bytes) -> None:
        name = file_of(table, self.trial_id)
        patiently(partial(self.storage.write, name, data), f"{self.storage}/{name}")


def _trials_schema(leaves: Mapping[str, Scalar], types: Mapping[str, type]) -> pa.Schema:
    taken = sorted(set(leaves) & {*HEAD.names, *TAIL.names})
    if taken:
        raise ValueError(f"a spec leaf must not have the name of a column of `trials`, got {', '.join(taken)}")
    kinds = {k: types.get(k, str) if v is None else types.get(k, type(v)) for k, v in leaves.items()}
    odd = {name: kind.__name__ for name, kind in kinds.items() if kind not in ARROW}
    if odd:
        raise ValueError(f"a spec leaf must be bool, int, float, str or None, got {odd}")
    return pa.schema([*HEAD, *((name, ARROW[kind]) for name, kind in kinds.items()), *TAIL])


def _columns(trial_id: str, rows: Sequence[Any], schema: pa.Schema) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in schema.names[1:]}
    if "seed" in columns:
        columns["seed"] = [row.signed_seed for row in rows]
    return pa.table({"trial_id": [trial_id] * len(rows), **columns}, schema=schema)
