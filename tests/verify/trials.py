"""Small trials run into results with what they have read, as a worker does, and ways to tamper with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from zfscale.results.attempts import open_ledger
from zfscale.results.inputs import as_json
from zfscale.results.layout import TRIALS, file_of
from zfscale.results.seal import parquet
from zfscale.results.storage import Place, storage
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import TrialSpec
from zfscale.training.snapshots import Snapshots
from zfscale.trial import run as trial
from zfscale.trial.fingerprints import prints_of
from zfscale.trial.inputs import Inputs, keys_of

Change = Callable[[pa.Table], pa.Table]


def run(root: Place, spec: TrialSpec) -> str:
    """Run a trial, a fork or not; its id."""
    inputs = Inputs([spec])
    inputs.read_starts([spec])
    sink, snapshots = ParquetSink(About.of(root, "s", spec)), Snapshots(root, spec.trial_id)
    ledger = open_ledger(storage(root), spec.trial_id)
    if start := inputs.start(spec):
        start.give(ledger, snapshots)
    outcome = trial.run(spec, *inputs.of(spec), sink, ledger=ledger, snapshots=snapshots)
    ledger.remove()
    sink.close(replace(outcome, inputs=as_json(keys_of(spec), prints_of([spec], inputs))))
    return spec.trial_id


def forge(root: Path, trial_id: str, table: str, change: Change) -> None:
    """Change a table of a trial, and all checksums with it, so that nothing but a replay can tell."""
    file = root / file_of(table, trial_id)
    rows = change(pq.ParquetFile(file).read())
    file.write_bytes(parquet(rows, sealed=table == TRIALS))
    if table != TRIALS:
        data = file.read_bytes()
        written = {"rows": rows.num_rows, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        forge(
            root,
            trial_id,
            TRIALS,
            lambda t: changed(t, "files", lambda f: json.dumps(json.loads(f) | {table: written})),
        )


def changed(rows: pa.Table, column: str, act: Callable[[Any], Any], number: int = 0) -> pa.Table:
    """The rows with one value replaced."""
    values = rows[column].to_pylist()
    values[number] = act(values[number])
    place = rows.column_names.index(column)
    return rows.set_column(place, column, pa.array(values, rows.schema.field(column).type))
