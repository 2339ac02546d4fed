"""What a population decides and keeps, and what later runs make of it; the order in which trials start. No Ray."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.results.small_results import run as write_row
from tests.sweep.test_judge import Trial
from tests.sweep.test_pbt import population
from zfscale.records import Status
from zfscale.results.decisions import CONTINUE, EXPLOIT, FINISHED, Decisions, kept, resumed
from zfscale.results.missing import missing, root
from zfscale.results.parents import lookup
from zfscale.results.proposals import known
from zfscale.results.takeovers import takeover_of
from zfscale.spec import Sweep, TrialSpec, load
from zfscale.sweep.listed import Listed
from zfscale.sweep.population import Population
from zfscale.sweep.source import planned
from zfscale.sweep.successors import Successors

RATE = {"optimizer.lr": {"loguniform": [1e-4, 1e-1]}}
TOTAL = 40  # steps of a trial


class Run:
    """One run of a sweep: reports go in, and what Ray Tune would be given comes out."""

    def __init__(self, made: Sweep) -> None:
        self.sweep = known(made)
        todo = missing(self.sweep)
        forwards = {t.trial_id: 2.0 * (TOTAL - (t.fork.step if t.fork else 0)) for t in todo}
        self.plan = planned(self.sweep, forwards, "run")
        self.plan.write(root(made))
        self.decisions = Decisions(root(made))
        self.judge = Population(self.sweep, self.decisions, self.plan)
        self.source = Successors(todo, self.judge, root(made))
        self.trials: dict[str, Trial] = {}

    def start(self) -> TrialSpec | None:
        """The next trial; None where one has to wait, or none is left."""
        name = f"tune-{len(self.trials)}"
        suggested = self.source.suggest(name)
        if not isinstance(suggested, dict):
            assert suggested in (None, Listed.FINISHED)
            return None
        spec = TrialSpec.from_json(suggested["spec"])
        self.trials[spec.trial_id] = Trial(name, spec)
        self.judge.on_trial_add(None, self.trials[spec.trial_id])
        return spec

    def report(self, spec: TrialSpec, stage: int, value: float | None, steps: int | None = None) -> bool:
        trial = self.trials[spec.trial_id]
        before = trial.ray_actor.told
        far = {"stage": stage, "task": stage, "taken": 10 * stage if steps is None else steps}
        assert self.judge.on_trial_result(None, trial, {**far, "avg_accuracy": value}) == "CONTINUE"
        return trial.ray_actor.told > before

    def end(self, spec: TrialSpec, status: str) -> None:
        result = {"status": status, "stage": 4, "avg_accuracy": 0.5}
        trial = self.trials[spec.trial_id]
        self.judge.on_trial_complete(None, trial, result)
        self.source.on_trial_complete(trial.trial_id, result)
        if status in list(Status):
            write_row(root(self.sweep), spec, status)

    def said(self) -> list[tuple[str, int, str]]:
        return [(row.trial_id, row.stage, row.decision) for row in self.decisions.rows]


def begun(made: Sweep, count: int = 4) -> tuple[Run, list[TrialSpec]]:
    run = Run(made)
    found = [run.start() for _ in range(count)]
    assert found == list(run.sweep.trials[:count])
    return run, [one for one in found if one is not None]


def test_one_that_is_among_the_worst_stops_and_goes_on_as_a_fork(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    run, (a, b, *_) = begun(made)
    assert not run.report(a, 1, 0.9)
    assert run.start() is None, "it waits: there may be forks"
    assert run.report(b, 1, 0.5)
    run.end(b, "stopped")
    fork = run.start()
    assert fork is not None
    assert fork.fork is not None
    assert (fork.fork.trial, fork.fork.step, fork.fork.tasks) == (a.trial_id, 10, 1)
    assert fork.fork.seed is not None
    assert fork.optimizer.lr != a.optimizer.lr
    assert fork.model_copy(update={"fork": None, "optimizer": a.optimizer}) == a
    assert run.said() == [(a.trial_id, 1, CONTINUE), (b.trial_id, 1, EXPLOIT)]
    assert run.plan.forwards(fork.trial_id) == 2.0 * (TOTAL - 10)


def test_a_fork_is_what_a_plain_file_would_make(tmp_path: Path) -> None:
    """With the same `fork` block and values."""
    made = population(tmp_path, 4, {**RATE, "optimizer.queries": {"grid": [2]}})
    run, (a, b, *_) = begun(made)
    run.report(a, 1, 0.9)
    run.report(b, 1, 0.5)
    fork, what = run.start(), takeover_of(run.decisions.rows[-1])
    assert fork is not None
    assert what is not None
    write_row(root(made), a)
    block = {"trial": what.donor, "step": what.step, "seed": what.seed, "results": str(root(made))}
    text = json.dumps({"name": "plain", "fork": block, "optimizer": {"lr": what.values["optimizer.lr"]}})
    (tmp_path / "plain.yaml").write_text(text)
    (plain,) = load(tmp_path / "plain.yaml", parents=lookup).trials
    assert plain == fork


def test_steps_that_are_shared_are_not_judged_again(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    run, (a, b, c, _) = begun(made)
    run.report(a, 1, 0.9)
    run.report(a, 2, 0.9)
    assert not run.report(b, 1, 0.95)
    assert run.report(b, 2, 0.1)
    fork = run.start()
    assert fork is not None
    before = len(run.said())
    assert not run.report(fork, 1, 0.0)
    assert not run.report(fork, 2, 0.0)
    assert len(run.said()) == before
    assert run.report(fork, 3, 0.0) is False, "the first there"
    assert run.report(c, 1, 0.0), "the fork is nobody's rival where its parent was"
    assert "of 3 here" in run.decisions.rows[-1].why


def test_what_an_earlier_run_has_decided_is_decided(tmp_path: Path) -> None:
    """Everything is killed after the decision: the trial is told again, and its fork is among those that are left."""
    made = population(tmp_path, 4, RATE)
    first, (a, b, *_) = begun(made)
    first.report(a, 1, 0.9)
    assert first.report(b, 1, 0.5)
    again = Run(made)
    assert [trial.trial_id for trial in again.sweep.trials[:4]] == [trial.trial_id for trial in made.trials]
    (fork,) = again.sweep.trials[4:]
    assert [again.start() for _ in range(4)] == list(made.trials)
    assert again.start() is None, "the fork waits for its parent"
    assert again.report(b, 1, 0.5)
    assert not again.report(a, 1, 0.9)
    assert again.start() == fork
    assert len(again.said()) == 2
    assert kept(root(made)) == again.decisions.rows
    assert again.report(again.sweep.trials[2], 1, 0.4), "it is compared with those of the earlier run"


def test_a_fork_whose_parent_has_ended_begins_at_once(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    first, (a, b, *_) = begun(made)
    first.report(a, 1, 0.9)
    first.report(b, 1, 0.5)
    first.end(a, "finished")
    first.end(b, "stopped")
    again = Run(made)
    started = [again.start() for _ in range(3)]
    assert started == [*made.trials[2:], again.sweep.trials[4]]
    assert first.said()[-1] == (a.trial_id, 4, FINISHED)


@pytest.mark.parametrize("status", ["failed", "unfinished"])
def test_a_fork_whose_parent_did_not_come_as_far(tmp_path: Path, status: str) -> None:
    """It is started, to fail with a clear error, where the parent has a row; else it is left to the next run."""
    made = population(tmp_path, 2, RATE)
    first, (a, b) = begun(made, 2)
    first.report(a, 1, 0.9)
    first.report(b, 1, 0.5)
    first.end(b, "stopped")
    again = Run(made)
    assert again.start() == a
    assert again.start() is None
    again.end(a, status)
    assert (again.start() is None) == (status == "unfinished")
    assert len(missing(known(made))) == (1 if status == "failed" else 2)


def test_forks_of_forks_are_known_to_later_runs(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    run, (a, b, c, _) = begun(made)
    run.report(a, 1, 0.9)
    assert run.report(b, 1, 0.5)
    fork = run.start()
    assert fork is not None
    run.report(fork, 2, 0.9)
    run.report(c, 1, 0.95)
    assert run.report(c, 2, 0.5)
    second = run.start()
    assert second is not None
    assert second.fork is not None
    assert second.fork.trial == fork.trial_id
    assert known(made).trials == (*made.trials, fork, second)
    assert known(known(made)).trials == known(made).trials
    assert [stop for stop, _ in second.lineage] == [10, 20, None]


def test_nothing_is_taken_over_after_the_last_step(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    run, (a, b, *_) = begun(made)
    run.report(a, 3, 0.9)
    run.report(a, 4, 0.9)
    assert not run.report(b, 4, 0.1)
    assert run.said() == [(a.trial_id, 3, CONTINUE)]


def test_a_value_that_is_no_number_is_compared_with_nobody(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    run, (a, b, *_) = begun(made)
    run.report(a, 1, 0.9)
    assert not run.report(b, 1, None)
    assert json.loads(run.decisions.rows[-1].why)["why"] == "avg_accuracy is no number"
    assert len(Run(made).judge.rule.tune.there[1]) == 1


def test_a_continued_trial_is_in_no_population(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    run, (a, b, *_) = begun(made)
    run.report(a, 1, 0.9)
    run.report(b, 1, 0.5)
    run.end(b, "stopped")
    resumed(root(made), [b.trial_id])
    again = Run(made)
    again.source.queue.append(b)
    while b.trial_id not in again.trials:
        again.start()
    assert not again.report(b, 1, 0.5)
    assert not again.report(b, 2, 0.0)
    assert not [row for row in again.said() if row[0] == b.trial_id and row[1] == 2]


def test_decisions_of_another_scheduler_are_none_of_a_population(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    decisions = Decisions(root(made))
    decisions.add(made.trials[0].trial_id, 1, "avg_accuracy", 0.9, CONTINUE, "first at rung 1")
    decisions.close()
    run, (_, b, *_) = begun(made)
    assert not run.report(b, 1, 0.1)


def test_members_that_the_file_has_no_more_leave_no_forks(tmp_path: Path) -> None:
    made = population(tmp_path, 4, RATE)
    run, (a, b, *_) = begun(made)
    run.report(a, 1, 0.9)
    assert run.report(b, 1, 0.5)
    fewer: Any = population(tmp_path, 2, {"optimizer.lr": {"loguniform": [1e-3, 1e-1]}})
    assert known(fewer).trials == fewer.trials
