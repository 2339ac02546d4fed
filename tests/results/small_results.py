"""A small results directory that sinks write, no trial run: three trials of a sweep, and what is in its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from zfscale import spec
from zfscale.records import Eval, Outcome, Query, Status, Step
from zfscale.results.layout import TABLES
from zfscale.results.storage import Place
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.spec import Sweep, TrialSpec

SEEDS = 3


def sweep(folder: Path) -> Sweep:
    """Of three trials, of an embedded model and dataset."""
    content = {
        "name": "small",
        "model": {"name": "embedded/vit-nano"},
        "stream": {"dataset": "digits", "tasks": 2},
        "method": {"name": "ease"},
        "optimizer": {"name": "zo-sgd", "lr": 1e-3, "queries": 2},
        "train": {"epochs": 1, "batch_size": 8},
        "space": {"seed": {"grid": list(range(SEEDS))}},
        "output": {"dir": str(folder / "results"), "wandb": {"mode": "disabled"}},
    }
    file = folder / "s.yaml"
    file.write_text(yaml.safe_dump(content))
    return spec.load(file)


def run(root: Place, trial: TrialSpec, status: str = "finished") -> None:
    """What a trial would write: two tasks of 40 steps, two queries a step."""
    sink = ParquetSink(About(root, trial.trial_id, trial.to_json(), trial.leaves(), trial.NULLABLE))
    forwards = 0
    for task in (1, 2):
        for step in range(40):
            forwards += 4
            sink.step(Step(task, step, 1 / (1 + step + trial.seed), 1e-3, forwards, 0.1 * step))
            for query in range(2):
                sink.query(Query(task, step, query, hash((trial.seed, task, step, query)) % 2**63, 0.5 + step, 1))
    for stage in (1, 2):
        sink.eval(Eval(stage, 0, "stage_accuracy", 0.5 + 0.01 * trial.seed))
        for task in range(1, stage + 1):
            sink.eval(Eval(stage, task, "accuracy", 0.4 + 0.01 * trial.seed))
    failed = status == Status.FAILED
    measured = {} if failed else {"forwards": forwards, "avg_accuracy": 0.5 + 0.01 * trial.seed, "last_accuracy": 0.5}
    error, versions = "boom" if failed else None, '{"arithmetic": "2"}'
    stopped_at = 1 if status == Status.STOPPED else None
    measured = {"seconds": 1.0, **measured}
    sink.close(Outcome(Status(status), measured, error=error, versions=versions, stopped_at=stopped_at))


def tables(root: Path) -> dict[str, list[dict[str, Any]]]:
    """All rows of the files that are named by a trial's id, in a stable order."""
    files = {table: sorted((root / table).glob("????????????.parquet")) for table in TABLES}
    return {table: sort([row for file in found for row in rows_of(file)]) for table, found in files.items()}


def rows_of(file: Path) -> list[dict[str, Any]]:
    return pq.ParquetFile(file).read().to_pylist()


def sort(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Steps or queries as they were taken."""
    return sorted(rows, key=lambda row: (row["task"], row["step"], row.get("query")))


def as_of_earlier_versions(root: Path) -> None:
    """The same results as versions wrote them that knew no checksums."""
    for table in TABLES:
        for file in (root / table).iterdir():
            data = pq.ParquetFile(file).read()
            kept = data.drop_columns("files") if table == "trials" else data
            pq.write_table(kept, file, compression="zstd", store_schema=False)


def row(root: Place, trial: TrialSpec, value: float, status: str = "finished") -> None:
    """A trial without steps that has measured one thing."""
    sink = ParquetSink(About(root, trial.trial_id, trial.to_json(), trial.leaves(), trial.NULLABLE))
    measured = {} if status == Status.FAILED else {"forwards": 0, "avg_accuracy": value}
    error, stopped_at = "boom" if status == Status.FAILED else None, 1 if status == Status.STOPPED else None
    sink.close(Outcome(Status(status), {"seconds": 1.0, **measured}, error=error, stopped_at=stopped_at))
