"""JSON lines: all that a trial says in one file of a line a record, for tools that read no Parquet.

    <root>/jsonl/<trial_id>.jsonl    whole or absent: it is written when the trial ends

A line is an object with `record` (step, query, eval or outcome), `trial_id`, and the fields of the record under the
names that they have in the tables. JSON has neither NaN nor infinity: they are null. pandas reads a file with
`read_json(file, lines=True)`, DuckDB all of them with `from 'jsonl/*.jsonl'`.
"""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from dataclasses import asdict
from functools import partial
from typing import Any

from zfscale.records import Eval, Outcome, Query, Step
from zfscale.results.patience import patiently
from zfscale.results.storage import storage
from zfscale.sinks.about import About

IN_MEMORY = 1 << 20  # bytes of a trial's lines; more wait for its end in a temporary file without a name


class JsonlSink:
    """Collects a trial's records as lines and writes them when it closes.

    Args:
        about: The trial.
        options: There are none.
    """

    def __init__(self, about: About, options: None = None) -> None:
        self._storage, self._trial_id = storage(about.root), about.trial_id
        self._lines = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115  # `close` closes it

    def step(self, record: Step) -> None:
        """Keeps one training step."""
        self._keep("step", asdict(record))

    def query(self, record: Query) -> None:
        """Keeps one query; the seed as the tables have it, a signed integer of the same bits."""
        self._keep("query", {**asdict(record), "seed": record.signed_seed})

    def eval(self, record: Eval) -> None:
        """Keeps one metric."""
        self._keep("eval", asdict(record))

    def close(self, outcome: Outcome) -> None:
        """Writes the file, with the outcome as its last line.

        Raises:
            StorageError: The disk refused for about a minute; the file is then as it was before.
        """
        self._keep("outcome", outcome.row())
        name = f"jsonl/{self._trial_id}.jsonl"
        with self._lines:
            patiently(partial(self._write, name), f"{self._storage}/{name}")

    def _keep(self, kind: str, fields: dict[str, Any]) -> None:
        known = {name: None if _endless(value) else value for name, value in fields.items()}
        line = {"record": kind, "trial_id": self._trial_id, **known}
        self._lines.write(json.dumps(line, allow_nan=False).encode() + b"\n")

    def _write(self, name: str) -> None:
        self._lines.seek(0)
        with self._storage.writing(name) as path, path.open("wb") as file:
            shutil.copyfileobj(self._lines, file)


def _endless(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
