"""What trials recorded along the way, cut down to what a page shows: evaluations by stage, and training losses."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from zfscale.metrics.catalogue import MATRICES, STAGED
from zfscale.results import tables as read
from zfscale.results.layout import EVALS, STEPS
from zfscale.results.storage import Place

POINTS = 48  # of a curve of training losses

Number: TypeAlias = "float | None"
Matrix: TypeAlias = "list[list[Number]]"  # by stage, from 0, and by task, from 1


def short(value: float, digits: int = 5) -> Number:
    """A number for JSON, which has neither NaN nor infinities.

    >>> short(0.123456789), short(float("nan"))
    (0.12346, None)
    """
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def curves(root: Place, trials: Collection[str]) -> dict[str, list[Number]]:
    """Trial id -> by stage, from 0, what was measured over all tasks."""
    found: dict[str, list[Number]] = {}
    for trial_id, stages, _, values in _evaluations(root, trials, [kind.curve for kind in STAGED.values()]):
        line: list[Number] = [None] * (max(stages) + 1)
        for stage, value in zip(stages, values, strict=True):
            line[stage] = short(value)
        found[trial_id] = line
    return found


def matrices(root: Place, trials: Collection[str]) -> dict[str, Matrix]:
    """Trial id -> what was measured on each task after each stage."""
    found: dict[str, Matrix] = {}
    for trial_id, stages, tasks, values in _evaluations(root, trials, MATRICES):
        lines: Matrix = [[] for _ in range(max(stages) + 1)]
        for stage, task, value in zip(stages, tasks, values, strict=True):
            lines[stage] += [None] * (task - len(lines[stage]))
            lines[stage][task - 1] = short(value, 4)
        found[trial_id] = lines
    return found


def losses(root: Place, trials: Collection[str]) -> dict[str, dict[str, Any]]:
    """Trial id -> its training loss: means over equal stretches of steps, at the forwards where these end."""
    found = {}
    table = read.rows(root, STEPS, ["trial_id", "task", "loss", "forwards"], trials=trials)
    for trial_id, (task, loss, forwards) in _by_trial(table):
        edges = np.unique(np.linspace(0, len(loss), min(POINTS, len(loss)) + 1).astype(int))
        finite = np.isfinite(loss)
        sums = np.add.reduceat(np.where(finite, loss, 0.0), edges[:-1])
        with np.errstate(invalid="ignore"):
            means = sums / np.add.reduceat(finite.astype(float), edges[:-1])  # NaN where no loss is finite
        found[trial_id] = {
            "at": forwards[edges[1:] - 1].tolist(),
            "loss": [short(value, 4) for value in means.tolist()],
            "ends": forwards[np.flatnonzero(np.diff(task, append=-1))].tolist(),
        }
    return found


def _evaluations(
    root: Place, trials: Collection[str], metrics: Sequence[str]
) -> Iterator[tuple[str, list[int], list[int], list[float]]]:
    """Trial id, stages, tasks and values of its evaluations by these metrics."""
    columns = ["trial_id", "stage", "task", "value"]
    table = read.rows(root, EVALS, columns, pc.field("metric").isin(metrics), trials)
    for trial_id, (stage, task, value) in _by_trial(table):
        yield trial_id, stage.tolist(), task.tolist(), value.tolist()


def _by_trial(table: pa.Table) -> Iterable[tuple[str, list[np.ndarray]]]:
    """The other columns of each trial, whose rows are together; nothing of a table without rows."""
    ids = table["trial_id"].combine_chunks().dictionary_encode()
    codes = ids.indices.to_numpy()
    others = [column.to_numpy() for column in table.columns[1:]]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(codes)], strict=False):
        yield ids.dictionary[int(codes[start])].as_py(), [column[start:end] for column in others]
