"""Gives Ray Tune the trials that searchers propose, one at a time, and the searchers what became of them.

At each cell a searcher of its own proposes; the cells take turns, so that one has results before it proposes again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from zfscale.records import Status
from zfscale.results.decisions import Decisions
from zfscale.results.plan import Plan
from zfscale.results.proposals import Proposed, Told, studies, trials_of
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep.gate import Gate
from zfscale.sweep.listed import Listed
from zfscale.sweep.study import Search

COLUMNS = ("trial_id", "status", "spec", "stopped_at", "seconds", "forwards")  # of `trials`, and the metric


class Ending(NamedTuple):
    """How a trial ended: with which value of the metric, and at which stage if it was stopped."""

    status: Status
    value: float | None
    stage: int = 0


class Asked(NamedTuple):
    """A proposal of a search, and its trials: one a seed, but those that equal others are these."""

    search: Search
    n: int
    trials: tuple[TrialSpec, ...]


class Proposing(Listed):
    """First the trials of earlier runs that are left, then what the searchers propose.

    A trial that has a result is not run again: whoever proposes it is told the result.

    Args:
        sweep: Whose trials are known from earlier runs.
        todo: Those of them that are to be run.
        rows: Of `trials`, all that are there, with COLUMNS and the metric.
        decisions: The table of the sweep.
        plan: The plan of this run, in which proposals take the place of what was unknown.
    """

    def __init__(
        self,
        sweep: Sweep,
        todo: Sequence[TrialSpec],
        rows: Iterable[Mapping[str, Any]],
        decisions: Decisions,
        plan: Plan,
        over: Callable[[], bool] = lambda: False,
        gate: Gate | None = None,
    ) -> None:
        super().__init__((), over, gate)
        self.search, self.plan = sweep.spec.search, plan
        again = {trial.trial_id for trial in todo}
        rows = [row for row in rows if row["trial_id"] not in again]
        self.endings = {row["trial_id"]: self._ending(row, row["stopped_at"]) for row in rows}
        finished = {
            row["trial_id"]: (TrialSpec.from_json(row["spec"]), end.value)
            for row in rows
            if (end := self.endings[row["trial_id"]]).status is Status.FINISHED and end.value is not None
        }
        self.queue, self.given = deque(todo), again
        self.same = {trial.sameness: trial for trial in sweep.trials}
        self.waiting: dict[str, list[Asked]] = {}
        kept = studies(sweep.cells, decisions.rows)
        self.searches = [Search(study, decisions, finished) for study in kept]
        for search, study in zip(self.searches, kept, strict=True):
            for _, proposed in study.proposals if search.number == study.number else ():
                self._ask(search, proposed)

    def following(self) -> TrialSpec | None:
        """The next trial that has no result yet."""
        while not self.queue:
            search = min(self.searches, key=lambda one: one.count)
            proposed = search.propose()
            if proposed is None:
                return None
            new = self._ask(search, proposed)
            for i in range(len(search.cell.seeds)):
                self.plan.found(search.cell.key, new[i].trial_id if i < len(new) else None)
        return self.queue.popleft()

    def ended(self, name: str, row: dict[str, Any] | None) -> None:
        """Tell whoever has proposed it; a trial without a row is left to the next run, as is what depends on it."""
        if row is not None:
            self.endings[name] = self._ending(row, row.get("stage"))
            for asked in self.waiting.pop(name, ()):
                self._tell(asked)

    def _ask(self, search: Search, proposed: Proposed) -> list[TrialSpec]:
        """Queue the trials of a proposal that are new, which come back."""
        trials = [self.same.setdefault(t.sameness, t) for t in trials_of(search.cell, proposed.values)]
        asked = Asked(search, proposed.n, tuple(trials))
        new = [t for t in dict.fromkeys(trials) if t.trial_id not in self.given and t.trial_id not in self.endings]
        self.given |= {trial.trial_id for trial in new}
        self.queue.extend(new)
        for trial in dict.fromkeys(trials):
            if trial.trial_id not in self.endings:
                self.waiting.setdefault(trial.trial_id, []).append(asked)
        self._tell(asked)
        return new

    def _tell(self, asked: Asked) -> None:
        if asked.trials and all(trial.trial_id in self.endings for trial in asked.trials):
            endings = [self.endings[trial.trial_id] for trial in asked.trials]
            asked.search.tell(together(asked.n, endings), asked.trials[0].trial_id)

    def _ending(self, row: Mapping[str, Any], stage: int | None) -> Ending:
        value = row.get(self.search.metric)
        usable = value is not None and math.isfinite(value)
        return Ending(Status(row["status"]), value if usable else None, stage or 0)


def together(n: int, endings: Sequence[Ending]) -> Told:
    """What is told of the n-th proposal, whose trials ended so: their mean, unless one has no value.

    A trial that was stopped inside its first stage has none; one that finished without has failed.
    """
    values = [end.value for end in endings if end.value is not None]
    stopped = [end.stage for end in endings if end.status is Status.STOPPED]
    mean = sum(values) / len(values) if len(values) == len(endings) else None
    if any(end.status is Status.FAILED for end in endings) or (mean is None and not stopped):
        return Told(n, Status.FAILED)
    return Told(n, Status.STOPPED if stopped else Status.FINISHED, mean, min(stopped, default=0))
