"""The table `decisions`: what every trial reported to a scheduler, what a searcher proposed and was told; in order.

A decision is appended to a journal before it is acted on, and so outlives the process; now and then, and at the end of
a run, the journal goes into the table, one Parquet file. A bucket has the table alone.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from zfscale.errors import ZfscaleError, one_line
from zfscale.records import Status
from zfscale.results.layout import DECISIONS, DECISIONS_JOURNAL
from zfscale.results.patience import patiently
from zfscale.results.seal import parquet
from zfscale.results.storage import Place, storage

FILE = f"{DECISIONS}/{DECISIONS}.parquet"
SCHEMA = pa.schema(
    {
        "number": pa.int64(),  # in the order in which they were taken, from 0
        "time": pa.float64(),  # seconds since 1970
        "trial_id": pa.string(),
        "stage": pa.int64(),
        "metric": pa.string(),
        "value": pa.float64(),
        "decision": pa.string(),
        "why": pa.string(),
    }
)
CONTINUE, STOP = "continue", "stop"
FINISHED = Status.FINISHED.value  # the last stage, on which nothing is decided; others are compared with it
OVER = "over"  # stopped because another trial has reached `search.until`
RESUME = "resume"  # a stopped trial is taken up again, to its end
EXPLOIT = "exploit"  # stopped, to go on as a fork of another trial; `why` is then JSON, as of a population's `continue`
REPORTS = (CONTINUE, STOP, FINISHED)  # what the decision on a trial's report may be
SEARCH, PROPOSE, TOLD = "search", "propose", "told"  # what a searcher does; `why` is then JSON (`proposals`)
FOLD_EVERY = 60.0  # seconds that a row stays in the journal alone


class Decision(NamedTuple):
    """A row of the table."""

    number: int
    time: float
    trial_id: str
    stage: int
    metric: str
    value: float | None
    decision: str
    why: str


class Decisions:
    """The decisions of a sweep, of all its runs; `close` it when the run ends.

    Raises:
        ZfscaleError: The table is damaged.
        StorageError: The storage does not answer.
    """

    def __init__(self, root: Place) -> None:
        self._storage = storage(root)
        self._path = self._storage.local(DECISIONS_JOURNAL)
        self.rows = kept(root)
        self._fold()

    def add(self, trial_id: str, stage: int, metric: str, value: float | None, decision: str, why: str) -> Decision:
        """Keep a decision, durably."""
        row = Decision(len(self.rows), time.time(), trial_id, stage, metric, value, decision, why)
        patiently(partial(self._append, (json.dumps(row) + "\n").encode()), str(self._path))
        self.rows.append(row)
        if time.monotonic() - self._folded > FOLD_EVERY:
            self._fold()
        return row

    def close(self) -> None:
        """Write what is in the journal into the table."""
        self._fold()

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            end = os.fstat(handle).st_size
            if os.write(handle, line) != len(line):  # a full disk; behind a part of a line nobody would read
                os.ftruncate(handle, end)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        finally:
            os.close(handle)

    def _fold(self) -> None:
        self._folded = time.monotonic()
        if not self._path.exists():
            return
        columns = zip(*self.rows, strict=True) if self.rows else [[] for _ in SCHEMA]
        data = parquet(pa.table([list(column) for column in columns], schema=SCHEMA))
        patiently(partial(self._storage.write, FILE, data), f"{self._storage}/{FILE}")
        self._path.unlink(missing_ok=True)


def kept(root: Place) -> list[Decision]:
    """All rows, those too that are in the journal alone. Errors: as of `Decisions`."""
    found, path = list(_table(root)), storage(root).local(DECISIONS_JOURNAL)
    journal = patiently(path.read_bytes, str(path)) if path.exists() else b""
    return found + [row for row in _journal(journal) if row.number >= len(found)]


def resumed(root: Place, trials: list[str]) -> None:
    """Note that stopped trials are taken up again: no scheduler stops them any more."""
    decisions = Decisions(root)
    for trial_id in trials:
        decisions.add(trial_id, 0, "", None, RESUME, "--continue-stopped")
    decisions.close()


def _table(root: Place) -> Iterator[Decision]:
    data = storage(root).read(FILE)
    if data is None:
        return
    try:
        table = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True).read(use_threads=False)
        rows = table.select(SCHEMA.names).to_pylist()
    except Exception as error:  # whatever Arrow makes of bytes that are no Parquet
        message = f"{storage(root)}/{FILE}: damaged ({one_line(error)}); remove it: trials that were stopped stay so, "
        raise ZfscaleError(f"{message}and others are compared anew") from error
    yield from (Decision(**row) for row in rows)


def _journal(data: bytes) -> Iterator[Decision]:
    """The whole lines of a journal; one that was being written when the process died is left out."""
    for line in data.splitlines():
        try:
            yield Decision(*json.loads(line))
        except (ValueError, TypeError):
            return
