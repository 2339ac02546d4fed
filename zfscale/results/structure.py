"""What must hold within the tables of a finished trial, whatever wrote them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

KEYS = {"evals": ("stage", "task", "metric"), "steps": ("task", "step"), "ledger": ("task", "step", "query")}


def problem_of(table: str, data: pa.Table, row: dict[str, Any]) -> str | None:
    """What is wrong with a table of the trial that `row` of `trials` is about; None if nothing is."""
    if pc.sum(pc.fill_null(pc.equal(data["trial_id"], row["trial_id"]), False)).as_py() != (data.num_rows or None):
        return f"holds rows that are not of trial {row['trial_id']}"
    if any(data[name].null_count for name in data.column_names):
        return "holds nulls"
    if data.group_by(list(KEYS[table]), use_threads=False).aggregate([]).num_rows != data.num_rows:
        return "holds rows twice"
    if table == "evals" and not data.num_rows:
        return "holds no rows"
    if table == "steps":
        return _gap(data) or _total(data, row)
    return None


def _gap(steps: pa.Table) -> str | None:
    """The first task whose steps are not 0, 1, 2, ... in this order."""
    tasks, numbers = (steps[name].to_numpy() for name in ("task", "step"))
    starts = np.flatnonzero(np.diff(tasks, prepend=tasks[:1] - 1))
    if len(tasks) and (np.diff(tasks) < 0).any():
        return "tasks are not in order"
    expected = np.arange(len(tasks)) - np.repeat(starts, np.diff(np.append(starts, len(tasks))))
    odd = np.flatnonzero(numbers != expected)
    return f"task {tasks[odd[0]]}: step {expected[odd[0]]} is missing" if len(odd) else None


def _total(steps: pa.Table, row: dict[str, Any]) -> str | None:
    """The forwards of the last step are the trial's."""
    last = steps["forwards"][-1].as_py() if steps.num_rows else 0
    if row.get("forwards") is not None and last != row["forwards"]:
        return f"steps are missing: the last is at {last} forwards, the trial took {row['forwards']}"
    return None
