"""Decides on every report of a trial whether it goes on: asks Ray Tune's rule, keeps the answer, tells the worker.

Tune's own way to stop a trial is to take its worker away, which could not say whether it was stopped or the sweep was
interrupted. Here the worker is told, and ends the trial itself: a row with status `stopped`, its tables, and only then
the result that ends it for Tune. A worker that dies in between is told again when the trial is started again.

The decisions of earlier runs of the sweep are given to the rule first, so that it compares with all trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler

from zfscale import registry
from zfscale.records import Status
from zfscale.results.decisions import CONTINUE, EXPLOIT, FINISHED, OVER, REPORTS, RESUME, STOP, Decisions
from zfscale.spec import SearchSpec, TrialSpec
from zfscale.sweep.rules import STAGE, finite, measured
from zfscale.sweep.unpickled import Unpickled


@dataclass(frozen=True)
class Known:
    """A trial as rules know it, by our id, which is the same in all runs of a sweep."""

    trial_id: str
    trains: bool = True


class Judge(Unpickled, FIFOScheduler):
    """Starts trials in the order of the file; `over` once a trial has reached `search.until`.

    Controls, which train nothing, are neither stopped nor compared with. Nor, by what
    stages give, are trials of a single stage, such as those of `joint`: it has all domains, the first of others one.
    """

    def __init__(self, search: SearchSpec, decisions: Decisions) -> None:
        super().__init__()
        self.search, self.decisions, self.over = search, decisions, False
        self.rule = self._make_rule()
        self.known: dict[str, Known] = {}  # by Tune's ids, while they run
        self.added: set[str] = set()  # those that the rule has been told of
        self.compared, _ = search.compared
        self.kept: dict[tuple[str, str, int], bool] = {}  # our id, metric, stage -> whether the trial was stopped
        self.stopped: dict[str, int] = {}  # our id -> the stage (report) at which the trial was to stop
        self.resumed: set[str] = set()
        self._recall()

    def _make_rule(self) -> Any:
        path = self.search.scheduler.path
        return registry.load(path)(self.search) if path else None

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Tune has made a trial of one of ours."""
        spec = TrialSpec.from_json(trial.config["spec"])
        self.known[trial.trial_id] = Known(spec.trial_id, spec.trains)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """A report that is not the trial's last; Tune is always to go on, the worker may be told otherwise."""
        if self._stops(self.known[trial.trial_id], result):
            trial.temporary_state.ray_actor.stop_here.remote()
        return str(self.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial has its row."""
        known = self.known.pop(trial.trial_id)
        if result.get("status") != Status.FINISHED:
            return
        stage, value = measured(result, self.search.metric)
        if known.trains and (known.trial_id, self.search.metric, stage) not in self.kept:
            if self.compared == self.search.metric:
                self._tell(known.trial_id, stage, value, FINISHED)
            self._keep(known, self.search.metric, stage, value, FINISHED, "the last stage")
        if self.search.reached(result) and not self.over:
            self.over = True
            for waiting in tune_controller.get_trials():
                if waiting.status == Trial.PENDING:
                    tune_controller.stop_trial(waiting)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Its workers have died too often."""
        self.known.pop(trial.trial_id, None)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """It was never started."""
        self.known.pop(trial.trial_id, None)

    def debug_string(self) -> str:
        """What Tune would print."""
        return f"{len(self.kept)} decisions"

    def _stops(self, known: Known, result: dict[str, Any]) -> bool:
        (stage, value), name = measured(result, self.search.metric), known.trial_id
        if self.over:
            self._keep(known, self.search.metric, stage, value, OVER, "search.until is reached")
            return True
        if not known.trains or name in self.resumed or self.rule is None:
            return False
        if every := self.search.scheduler.every:
            if "loss" not in result:  # the end of a stage
                return False
            stage, value = result["step"] // every, finite(result["loss"])
        if name not in self.stopped and (name, self.compared, stage) not in self.kept:
            self._decide(known, stage, value, result)
        return name in self.stopped and stage >= self.stopped[name]  # one that is made again goes as far as before

    def _decide(self, known: Known, stage: int, value: float | None, result: dict[str, Any]) -> None:
        """Decide on a report that is new."""
        stop, why = self._tell(known.trial_id, stage, value, CONTINUE)
        self._keep(known, self.compared, stage, value, STOP if stop else CONTINUE, why)

    def _tell(self, name: str, stage: int, value: float | None, decision: str) -> tuple[bool, str]:
        """Tell the rule of a report; whether it would stop the trial, and why."""
        if value is None or self.rule is None:
            return False, f"{self.compared} is no number"
        if decision == FINISHED and stage == 1:
            return False, "its only stage"
        rule, known, result = self.rule.tune, Known(name), {STAGE: stage, self.compared: value}
        if name not in self.added:
            self.added.add(name)
            rule.on_trial_add(None, known)
        why = self.rule.why(name, stage, value)
        if decision == FINISHED:
            rule.on_trial_complete(None, known, result)
            return False, why
        return bool(rule.on_trial_result(None, known, result) == self.STOP), why

    def _keep(self, known: Known, metric: str, stage: int, value: float | None, decision: str, why: str) -> None:
        self.kept[known.trial_id, metric, stage] = decision in (STOP, EXPLOIT, OVER)
        if decision in (STOP, EXPLOIT):
            self.stopped[known.trial_id] = stage
        self.decisions.add(known.trial_id, stage, metric, value, decision, why)

    def _recall(self) -> None:
        """What earlier runs have decided by the same metric is decided."""
        for row in self.decisions.rows:
            if row.decision == RESUME:
                self.resumed.add(row.trial_id)
            elif row.metric == self.compared and row.decision in REPORTS:
                self._tell(row.trial_id, row.stage, row.value, row.decision)
                self.kept[row.trial_id, row.metric, row.stage] = row.decision == STOP
                if row.decision == STOP:
                    self.stopped[row.trial_id] = row.stage
