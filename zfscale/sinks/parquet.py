"""Parquet, the truth: four tables, each file of a trial whole or absent.

    <root>/evals/<trial_id>.parquet    metrics after each stage
    <root>/steps/<trial_id>.parquet    training steps
    <root>/ledger/<trial_id>.parquet   zeroth-order queries
    <root>/trials/<trial_id>.parquet   spec and outcome; written last, so it commits the other three

The first three grow while the trial runs, and a table of very many rows has more files (see `zfscale.sinks.rolling`).
The `trials` file has its own checksum, and a column `files` with those of the other three (see `zfscale.results`).
A trial that runs again writes the same names, so it never shows twice. A failed one keeps the rows it had told, and one
that runs shows those it has told: whoever reads results must ask `trials.status`. Each table is a plain dataset:
`pandas.read_parquet(dir)`, `polars.read_parquet(dir)` and DuckDB's `from 'dir/*.parquet'` read it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import pyarrow as pa

from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results.layout import EVALS, LEDGER, STEPS, TRIALS, file_of
from zfscale.results.patience import patiently
from zfscale.results.schema import ARROW, HEAD, TAIL
from zfscale.results.seal import parquet
from zfscale.results.storage import storage
from zfscale.sinks.about import About, Scalar
from zfscale.sinks.rolling import Rolling

SHOW_EVERY = 30.0  # seconds until rows can be read; those of a trial that has just begun can be sooner:
SHOW_FIRST = 5.0  # the first after so many
STAGE_EVERY = 5.0  # the same at the end of a stage
SHARE = 0.01  # of the trial's time that this may take


class ParquetSink:
    """Writes a trial's records now and then, and what is left when it closes; a short trial writes only then.

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
        self._rows = {table: Rolling(self.storage, table, self.trial_id) for table in (EVALS, STEPS, LEDGER)}
        self._began = self._shown = time.monotonic()
        self._pause = 0.0
        self._lock = threading.Lock()  # `show` comes from another thread

    def step(self, record: Step) -> None:
        """Takes one training step. Errors, of `query` as well: StorageError, if the disk refused for about a minute."""
        self.show()
        with self._lock:
            self._rows[STEPS].add(record)

    def query(self, record: Query) -> None:
        """Takes one query; an unsigned 64-bit seed is stored as the signed integer of the same bits."""
        with self._lock:
            self._rows[LEDGER].add(record)

    def eval(self, record: Eval) -> None:
        """Takes one metric; that of all tasks ends a stage."""
        with self._lock:
            self._rows[EVALS].add(record)
        if record.task == 0:
            self._show(STAGE_EVERY)

    def show(self) -> None:
        """Lets readers see all rows up to now, if it is time; for any thread, since the trial's own may be stuck."""
        self._show(min(SHOW_EVERY, SHOW_FIRST + self._shown - self._began))

    def close(self, outcome: Outcome) -> None:
        """Writes the tables, `trials` last. A failed trial keeps what an attempt has written, if this one told nothing.

        Raises:
            StorageError: The disk refused for about a minute; no file is then half written.
        """
        row = {"trial_id": self.trial_id, "spec": self.spec_json, **self.leaves, **outcome.row()}
        row["files"] = json.dumps(self._files(outcome.status))
        data = parquet(pa.Table.from_pylist([row], schema=self.schema), sealed=True)
        name = file_of(TRIALS, self.trial_id)
        patiently(partial(self.storage.write, name, data), f"{self.storage}/{name}")

    def _files(self, status: Status) -> dict[str, dict[str, Any]]:
        """What there is beside the row, now written."""
        if status is not Status.FAILED or any(len(rows) for rows in self._rows.values()):
            return {table: rows.close() for table, rows in self._rows.items()}
        if any(rows.there for rows in self._rows.values()):
            return {table: rows.adopt() for table, rows in self._rows.items()}
        return {}

    def _show(self, every: float) -> None:
        """Show all, so many seconds after the last time or later; where the disk refuses, then."""
        if not self._due(every):
            return
        with self._lock:
            if not self._due(every):  # another thread has just shown them
                return
            began = time.monotonic()
            try:
                for rows in self._rows.values():
                    rows.show()
            except OSError as error:
                logging.getLogger(__name__).warning("%s; rows are shown later", error)
            self._shown = time.monotonic()
            self._pause = (self._shown - began) / SHARE

    def _due(self, every: float) -> bool:
        return time.monotonic() - self._shown > max(every, self._pause)


def _trials_schema(leaves: Mapping[str, Scalar], types: Mapping[str, type]) -> pa.Schema:
    taken = sorted(set(leaves) & {*HEAD.names, *TAIL.names})
    if taken:
        raise ValueError(f"a spec leaf must not have the name of a column of `trials`, got {', '.join(taken)}")
    kinds = {k: types.get(k, str) if v is None else types.get(k, type(v)) for k, v in leaves.items()}
    odd = {name: kind.__name__ for name, kind in kinds.items() if kind not in ARROW}
    if odd:
        raise ValueError(f"a spec leaf must be bool, int, float, str or None, got {odd}")
    return pa.schema([*HEAD, *((name, ARROW[kind]) for name, kind in kinds.items()), *TAIL])
