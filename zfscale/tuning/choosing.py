"""Which candidate of each cell is best, by the results of its trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zfscale.errors import ZfscaleError
from zfscale.metrics.catalogue import FORWARDS
from zfscale.records import Status
from zfscale.results import tables
from zfscale.results.layout import TRIALS
from zfscale.results.storage import Storage
from zfscale.spec.tuned import TunedSpec
from zfscale.tuning.cells import Cell
from zfscale.tuning.planning import Candidate, Plan, count


@dataclass(frozen=True)
class Chosen:
    """The best candidate of a cell.

    Args:
        cell: Whose it is.
        entry: What goes into the sweep file: the values, and what the search spent.
        score: The mean of the metric over seeds.
        tried: Dotted path -> the distinct values of all candidates, sorted where they are numbers.
        count: How many candidates were tried, in words.
        failed: Candidates of which a trial failed or has no value of the metric.
    """

    cell: Cell
    entry: TunedSpec
    score: float
    tried: Mapping[str, Sequence[Any]]
    count: str
    failed: int

    @property
    def edges(self) -> list[str]:
        """The paths of numbers whose best value is the smallest or the largest that was tried."""
        numbers = {path: values for path, values in self.tried.items() if _numeric(values)}
        return [path for path, values in numbers.items() if self.entry.values[path] in (values[0], values[-1])]

    @property
    def warning(self) -> str:
        """Where the best value may lie beyond what was tried; empty if nowhere."""
        ends = [f"{path} {self.entry.values[path]:g} is at the edge of what was tried" for path in self.edges]
        return f"{self.cell}: {', '.join(ends)}; widen its range in search.space" if ends else ""


def choose(made: Plan, root: Storage) -> list[Chosen]:
    """The best of each cell, by the tables in `root`.

    Raises:
        ZfscaleError: No candidate of a cell has a result.
    """
    search = made.sweep.spec.search
    columns = ["trial_id", "status", search.metric, FORWARDS]
    found = tables.rows(root, TRIALS, columns, trials={trial.trial_id for trial in made.sweep.trials}).to_pylist()
    rows = {row["trial_id"]: row for row in found}
    sign = 1 if search.mode == "max" else -1
    return [_best(cell, candidates, rows, search.metric, sign) for cell, candidates in made.tried]


def _best(
    cell: Cell, candidates: Sequence[Candidate], rows: Mapping[str, Mapping[str, Any]], metric: str, sign: int
) -> Chosen:
    scores = [_score(candidate, rows, metric) for candidate in candidates]
    known = [(score * sign, -i) for i, score in enumerate(scores) if not math.isnan(score)]
    if not known:
        raise ZfscaleError(f"{cell}: no candidate has a result; `zfscale report` says why its trials failed")
    best = -max(known)[1]  # of equal ones, the first
    tried = {path: _distinct([candidate.values[path] for candidate in candidates]) for path in cell.ranges}
    trials = sum(len(candidate.trials) for candidate in candidates)
    spent = sum(_spent(candidate, rows) for candidate in candidates)
    values = dict(candidates[best].values)
    entry = TunedSpec(where=dict(cell.where), values=values, forwards=spent, trials=trials)
    return Chosen(cell, entry, scores[best], tried, count(cell, candidates), len(candidates) - len(known))


def _score(candidate: Candidate, rows: Mapping[str, Mapping[str, Any]], metric: str) -> float:
    """The mean over seeds; NaN if a trial did not finish or has no such measure."""
    mine = [rows.get(trial.trial_id, {}) for trial in candidate.trials]
    known = [row[metric] if row.get("status") == Status.FINISHED else None for row in mine]
    values = [math.nan if value is None else value for value in known]
    total = sum(values)  # fsum raises where infinities meet
    return (math.fsum(values) if math.isfinite(total) else total) / len(values)


def _spent(candidate: Candidate, rows: Mapping[str, Mapping[str, Any]]) -> int:
    """Forwards that were taken; of a candidate with a trial that failed, all that it might have taken."""
    mine = [rows.get(trial.trial_id, {}) for trial in candidate.trials]
    if any(row.get("status") == Status.FAILED or row.get(FORWARDS) is None for row in mine):
        return candidate.forwards
    return sum(int(row[FORWARDS]) for row in mine)


def _distinct(values: list[Any]) -> list[Any]:
    distinct = [value for i, value in enumerate(values) if value not in values[:i]]
    return sorted(distinct) if _numeric(distinct) else distinct


def _numeric(values: Sequence[Any]) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
