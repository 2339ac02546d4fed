"""What must hold within the tables of a finished trial, whatever wrote them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zfscale.records import Status
from zfscale.results.layout import EVALS, LEDGER, STEPS
from zfscale.spec import TrialSpec

KEYS = {EVALS: ("stage", "task", "metric"), STEPS: ("task", "step"), LEDGER: ("task", "step", "query")}


def problem_of(table: str, data: pa.Table, row: dict[str, Any]) -> str | None:
    """What is wrong with a table of the trial that `row` of `trials` is about; None if nothing is."""
    mine = pc.fill_null(pc.equal(data["trial_id"], row["trial_id"]), False)
    if not pc.all(mine, min_count=0).as_py():
        return f"holds rows that are not of trial {row['trial_id']}"
    if any(data[name].null_count for name in data.column_names):
        return "holds nulls"
    if data.group_by(list(KEYS[table]), use_threads=False).aggregate([]).num_rows != data.num_rows:
        return "holds rows twice"
    if table == EVALS and not data.num_rows and row.get("status") != Status.STOPPED:  # it may be in the first stage
        return "holds no rows"
    if table == STEPS:
        return _gap(data) or _total(data, row)
    return None


def ledger_problem(ledger: pa.Table, steps: pa.Table, spec: TrialSpec) -> str | None:
    """What is wrong with a ledger: a forward-only step has the `queries` of the spec, a first-order one has none."""
    tasks, numbers = (steps[name].to_numpy() for name in ("task", "step"))
    counts = queries(tasks, numbers, spec)
    expected = {
        "task": np.repeat(tasks, counts),
        "step": np.repeat(numbers, counts),
        "query": np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts),
    }
    if ledger.num_rows != counts.sum():
        return f"{ledger.num_rows} queries instead of {counts.sum()}"
    odd = np.any([ledger[name].to_numpy() != values for name, values in expected.items()], axis=0)
    if odd.any():
        task, step, query = (values[odd.argmax()] for values in expected.values())
        return f"task {task}, step {step}: query {query} is missing"
    return None


def queries(tasks: np.ndarray, numbers: np.ndarray, spec: TrialSpec) -> np.ndarray:
    """[steps]: how many queries each has; those of first-order trials, and of a hybrid's first epochs, have none.

    The first steps of a fork are those of other trials.
    """
    o = spec.optimizer
    if spec.optimizing.first_order:
        return np.zeros(len(tasks), int)
    epochs = o.first_order.epochs if o.first_order else 0
    _, place, sizes = np.unique(tasks, return_inverse=True, return_counts=True)
    each, start = np.zeros(len(tasks), int), 0
    for stop, taker in spec.lineage:
        each[start:stop], start = taker.optimizing.queries(taker.optimizer.filled()), stop or 0
    return np.where(numbers * spec.train.epochs < sizes[place] * epochs, 0, each)


def _gap(steps: pa.Table) -> str | None:
    """The first step at which the tasks are not in order, or their steps are not 0, 1, 2, ..."""
    tasks, numbers = (steps[name].to_numpy() for name in ("task", "step"))
    if (np.diff(tasks) < 0).any():
        return "tasks are not in order"
    starts = np.flatnonzero(np.diff(tasks, prepend=tasks[:1] - 1))
    expected = np.arange(len(tasks)) - np.repeat(starts, np.diff(np.append(starts, len(tasks))))
    odd = np.flatnonzero(numbers != expected)
    return f"task {tasks[odd[0]]}: step {expected[odd[0]]} is missing" if len(odd) else None


def _total(steps: pa.Table, row: dict[str, Any]) -> str | None:
    """The forwards of the last step are the trial's."""
    last = steps["forwards"][-1].as_py() if steps.num_rows else 0
    if row.get("forwards") is not None and last != row["forwards"]:
        return f"steps are missing: the last is at {last} forwards, the trial took {row['forwards']}"
    return None
