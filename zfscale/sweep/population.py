"""The judge of a population: a trial that is among the worst stops, and goes on as a fork of one of the best.

A decision has all that the fork's spec is made of and is written down before anyone acts on it, so that a later run
finds the fork among the trials of the sweep. Recorded decisions are taken over as they are; nothing is drawn again.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from random import Random
from typing import Any

from zfscale.results.decisions import CONTINUE, EXPLOIT, RESUME, Decision, Decisions
from zfscale.results.missing import root
from zfscale.results.plan import Plan
from zfscale.results.takeovers import Reached, reached_of, told
from zfscale.spec import Sweep, TrialSpec
from zfscale.spec.population import mutated
from zfscale.sweep.judge import Judge, Known
from zfscale.sweep.pbt import Pbt, Report


class Population(Judge):
    """Judges the trials of a sweep that train as one population.

    Args:
        sweep: With the forks that earlier runs have made.
        decisions: The table of the sweep.
        plan: What is expected of the trials, to which the forks that this run decides on are added.
    """

    rule: Pbt

    def __init__(self, sweep: Sweep, decisions: Decisions, plan: Plan) -> None:
        self.sweep, self.results, self.plan = sweep, str(root(sweep)), plan
        self.specs = {trial.trial_id: trial for trial in sweep.trials if trial.trains}
        self.judged = {name: 0 if t.fork is None else t.fork.step for name, t in self.specs.items()}  # steps
        self.steps: dict[str, int] = {}  # our id of a trial -> how many it had taken when it reported last, in this run
        self.forks: deque[TrialSpec] = deque()  # that this run has decided on, for whoever starts them
        super().__init__(sweep.spec.search, decisions)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """As of any judge; others may fork the trial where it is."""
        said, name = super().on_trial_result(tune_controller, trial, result), self.known[trial.trial_id].trial_id
        self.steps[name] = max(self.steps.get(name, 0), result.get("taken", 0))
        return said

    def _make_rule(self) -> Pbt:
        return Pbt(self.search, mutated(self.sweep.spec))

    def _tell(self, name: str, stage: int, value: float | None, decision: str) -> tuple[bool, str]:
        """The last report of a trial: nothing goes on from it."""
        return False, ""

    def _decide(self, known: Known, stage: int, value: float | None, result: dict[str, Any]) -> None:
        """Steps that a fork shares were judged in its parent; where no step was taken, there is nothing to judge."""
        name, reached = known.trial_id, Reached(result["taken"], result["task"])
        if reached.step <= self.judged[name]:
            return
        self.judged[name] = reached.step
        left = self.plan.left(self.specs[name], reached.step)
        if left < 1:  # its last step
            return
        if value is None:
            why = told(f"{self.compared} is no number", reached)
            self._keep(known, self.compared, stage, value, CONTINUE, why)
            return
        verdict = self.rule.decide(stage, Report(self.specs[name], reached, value), self._drawing(name, stage))
        decision = CONTINUE if verdict.takeover is None else EXPLOIT
        self._keep(known, self.compared, stage, value, decision, told(verdict.why, reached, verdict.takeover))
        if verdict.takeover is not None:
            fork = verdict.takeover.fork(self.specs[verdict.takeover.donor], self.results)
            self.specs[fork.trial_id], self.judged[fork.trial_id] = fork, verdict.takeover.step
            self.plan.add(fork, left)
            self.forks.append(fork)

    def _drawing(self, name: str, stage: int) -> Random:
        """What is drawn at a report follows from the sweep's name, the trial and the report."""
        text = json.dumps([self.sweep.spec.name, name, stage])
        return Random(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big"))

    def _recall(self) -> None:
        for row in self.decisions.rows:
            if row.decision == RESUME:
                self.resumed.add(row.trial_id)
            elif row.decision in (CONTINUE, EXPLOIT) and row.trial_id in self.specs:
                self._recall_report(row)

    def _recall_report(self, row: Decision) -> None:
        reached = reached_of(row)
        if row.decision == EXPLOIT:
            self.stopped[row.trial_id] = row.stage
        if reached is None or row.metric != self.compared:  # another scheduler decided, or by something else
            return
        self.judged[row.trial_id] = reached.step
        self.kept[row.trial_id, row.metric, row.stage] = row.decision == EXPLOIT
        if row.value is not None:
            self.rule.take_in(row.stage, Report(self.specs[row.trial_id], reached, row.value))
