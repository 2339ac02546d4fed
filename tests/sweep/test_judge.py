"""Who is stopped, what is kept of it, and what later runs make of it. No Ray runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.results import small_results
from zfscale.results.decisions import CONTINUE, FINISHED, OVER, STOP, Decisions, resumed
from zfscale.results.missing import missing, root
from zfscale.spec import SearchSpec, TrialSpec
from zfscale.sweep.judge import Judge
from zfscale.sweep.listed import Listed
from zfscale.sweep.source import deciding

ASHA = {"scheduler": {"name": "asha"}}


class Worker:
    """Remembers whether it was told to stop."""

    def __init__(self) -> None:
        self.stop_here, self.told = self, 0

    def remote(self) -> None:
        self.told += 1


class Trial:
    """One of Tune's."""

    def __init__(self, name: str, spec: TrialSpec, status: str = "RUNNING") -> None:
        self.trial_id, self.config, self.status = name, {"spec": spec.to_json()}, status
        self.temporary_state, self.ray_actor = self, Worker()


class Controller:
    """Tune's, as far as it is asked."""

    def __init__(self, *trials: Trial) -> None:
        self.trials, self.stopped = trials, list[Trial]()

    def get_trials(self) -> tuple[Trial, ...]:
        return self.trials

    def stop_trial(self, trial: Trial) -> None:
        self.stopped.append(trial)


class Run:
    """One run of a sweep: reports go in, whether the worker is told to stop comes out."""

    def __init__(self, place: Path, **search: Any) -> None:
        self.decisions = Decisions(place)
        self.judge = Judge(SearchSpec.model_validate({"scheduler": "none"} | search), self.decisions)
        self.trials: dict[str, Trial] = {}

    def add(self, spec: TrialSpec) -> Trial:
        trial = Trial(f"tune-{len(self.trials)}", spec)
        self.judge.on_trial_add(None, trial)
        return self.trials.setdefault(spec.trial_id, trial)

    def report(self, spec: TrialSpec, stage: int, value: float | None) -> bool:
        trial = self.trials.get(spec.trial_id) or self.add(spec)
        before = trial.ray_actor.told
        said = self.judge.on_trial_result(None, trial, {"stage": stage, "avg_accuracy": value})
        assert said == "CONTINUE", "Tune must not take the worker away"
        return trial.ray_actor.told > before

    def end(self, spec: TrialSpec, stage: int, value: float | None, status: str = "finished") -> Controller:
        waiting, controller = Trial("waiting", spec, "PENDING"), Controller()
        controller.trials = (waiting, *self.trials.values())
        result = {"status": status, "stage": stage, "avg_accuracy": value}
        self.judge.on_trial_complete(controller, self.trials.pop(spec.trial_id), result)
        return controller

    def kept(self) -> list[tuple[int, str]]:
        return [(row.stage, row.decision) for row in self.decisions.rows]


@pytest.fixture
def specs(tmp_path: Path) -> tuple[TrialSpec, ...]:
    return small_results.sweep(tmp_path).trials


def test_the_worse_is_told_to_stop_and_every_report_is_kept(tmp_path: Path, specs: Any) -> None:
    run = Run(tmp_path, **ASHA)
    assert not run.report(specs[0], 1, 0.5)
    assert run.report(specs[1], 1, 0.4)
    run.end(specs[1], 1, 0.4, "stopped")
    assert not run.report(specs[2], 1, 0.6)
    run.end(specs[0], 2, 0.45)
    assert run.kept() == [(1, CONTINUE), (1, STOP), (1, CONTINUE), (2, FINISHED)]
    assert [row.trial_id for row in run.decisions.rows] == [specs[i].trial_id for i in (0, 1, 2, 0)]
    assert run.decisions.rows[1].why == "rung 1: 0.4 against 0.5, by 1 before it"


def test_a_worker_that_died_after_the_decision_is_told_again(tmp_path: Path, specs: Any) -> None:
    run = Run(tmp_path, **ASHA)
    run.report(specs[0], 1, 0.5)
    assert run.report(specs[1], 1, 0.4)
    assert run.report(specs[1], 1, 0.4)
    assert len(run.kept()) == 2


def test_a_later_run_compares_with_earlier_trials_and_repeats_their_decisions(tmp_path: Path, specs: Any) -> None:
    first = Run(tmp_path, **ASHA)
    first.report(specs[0], 1, 0.5)
    assert first.report(specs[1], 1, 0.4)  # and here everything is killed
    second = Run(tmp_path, **ASHA)
    assert second.report(specs[1], 1, 0.4)
    assert not second.report(specs[0], 1, 0.5)
    assert second.report(specs[2], 1, 0.3)
    assert second.kept() == [(1, CONTINUE), (1, STOP), (1, STOP)]


def test_a_stopped_trial_that_is_made_again_goes_as_far_as_before(tmp_path: Path, specs: Any) -> None:
    """Its row was damaged, say."""
    first = Run(tmp_path, **ASHA)
    first.report(specs[0], 1, 0.5)
    first.report(specs[0], 2, 0.5)
    assert not first.report(specs[1], 1, 0.6)
    assert first.report(specs[1], 2, 0.4)
    second = Run(tmp_path, **ASHA)
    assert not second.report(specs[1], 1, 0.6)
    assert second.report(specs[1], 2, 0.4)
    assert len(second.kept()) == 4


def test_other_metrics_decided_nothing(tmp_path: Path, specs: Any) -> None:
    first = Run(tmp_path, **ASHA)
    first.report(specs[0], 1, 0.5)
    other = Judge(SearchSpec.model_validate({"metric": "last_accuracy", **ASHA}), first.decisions)
    assert not other.kept


def test_a_continued_trial_is_not_stopped_again(tmp_path: Path, specs: Any) -> None:
    first = Run(tmp_path, **ASHA)
    first.report(specs[0], 1, 0.5)
    assert first.report(specs[1], 1, 0.4)
    resumed(tmp_path, [specs[1].trial_id])
    second = Run(tmp_path, **ASHA)
    assert not second.report(specs[1], 1, 0.4)
    second.end(specs[1], 2, 0.3)
    assert second.kept()[-1] == (2, FINISHED)


def test_controls_are_neither_stopped_nor_compared(tmp_path: Path, specs: Any) -> None:
    control = specs[1].model_copy(update={"optimizer": specs[1].optimizer.model_copy(update={"lr": 0.0})})
    run = Run(tmp_path, **ASHA)
    run.report(specs[0], 1, 0.5)
    assert not run.report(control, 1, 0.1)
    run.end(control, 2, 0.9)
    assert run.kept() == [(1, CONTINUE)]
    assert run.report(specs[2], 1, 0.4)


def test_a_trial_of_one_stage_is_not_compared_with(tmp_path: Path, specs: Any) -> None:
    whole, first, second = specs
    for run in (Run(tmp_path, **ASHA), Run(tmp_path, **ASHA)):  # the second recalls what the first has kept
        if not run.decisions.rows:
            run.add(whole)
            run.end(whole, 1, 0.9)
        assert not run.report(first, 1, 0.1), "it is the first at its rung"
    assert run.report(second, 1, 0.05)
    assert [row.decision for row in run.decisions.rows].count(FINISHED) == 1


def test_a_value_that_is_no_number_stops_nobody(tmp_path: Path, specs: Any) -> None:
    run = Run(tmp_path, **ASHA)
    run.report(specs[0], 1, 0.5)
    assert not run.report(specs[1], 1, float("nan"))
    assert not run.report(specs[2], 1, None)
    assert [row.why for row in run.decisions.rows][1:] == ["avg_accuracy is no number"] * 2
    run.end(specs[1], 2, None, "failed")


def test_inside_stages_trials_are_compared_by_their_loss(tmp_path: Path, specs: Any) -> None:
    asked = {"scheduler": {"name": "asha", "every": 50}}
    run = Run(tmp_path, **asked)

    def says(spec: TrialSpec, step: int, loss: float, of: Run = run) -> bool:
        trial = of.trials.get(spec.trial_id) or of.add(spec)
        before = trial.ray_actor.told
        of.judge.on_trial_result(None, trial, {"stage": 0, "step": step, "loss": loss})
        return trial.ray_actor.told > before

    assert not says(specs[0], 50, 1.0)
    assert says(specs[1], 50, 1.1), "a larger loss is worse"
    assert not says(specs[2], 50, 0.9)
    assert not run.report(specs[2], 1, 0.1), "after a stage, nothing is compared"
    run.end(specs[2], 2, 0.2)
    assert [(row.stage, row.metric, row.decision) for row in run.decisions.rows] == [
        (1, "loss of 50 steps", CONTINUE),
        (1, "loss of 50 steps", STOP),
        (1, "loss of 50 steps", CONTINUE),
        (2, "avg_accuracy", FINISHED),
    ]
    later = Run(tmp_path, **asked)
    assert says(specs[1], 100, 0.1, later), "a worker that died before it could stop is told again, further on"
    assert len(later.kept()) == 4


def test_once_a_trial_is_good_enough_the_sweep_ends(tmp_path: Path, specs: Any) -> None:
    run = Run(tmp_path, until={"avg_accuracy": 0.9})
    listed = Listed(specs, lambda: run.judge.over)
    assert listed.suggest("a") is not None
    run.add(specs[0])
    assert not run.report(specs[0], 1, 0.99), "of fewer stages, less is asked"
    assert not run.report(specs[1], 1, 0.1)
    controller = run.end(specs[0], 2, 0.91)
    assert [trial.trial_id for trial in controller.stopped] == ["waiting"]
    assert listed.suggest("b") == Listed.FINISHED
    assert run.report(specs[1], 2, 0.1)
    assert run.kept() == [(2, FINISHED), (2, OVER)]
    assert not Run(tmp_path, until={"avg_accuracy": 0.95}).report(specs[1], 2, 0.1), "a later run may ask for more"


def test_nothing_is_missing_of_a_sweep_that_has_reached_its_value(tmp_path: Path) -> None:
    sweep = small_results.sweep(tmp_path)
    small_results.run(root(sweep), sweep.trials[0])
    search = {value: SearchSpec(until={"avg_accuracy": value}) for value in (0.5, 0.6)}
    spec = {value: sweep.spec.model_copy(update={"search": one}) for value, one in search.items()}
    ends, goes_on = (type(sweep)(spec[value], sweep.trials, sweep.path, sweep.document) for value in (0.5, 0.6))
    assert missing(ends) == []
    assert missing(goes_on) == list(sweep.trials[1:])


def test_a_sweep_without_rules_decides_nothing(tmp_path: Path) -> None:
    with deciding(small_results.sweep(tmp_path)) as decisions:
        assert decisions is None
    assert not (tmp_path / "results").exists()


def test_tune_may_pickle_it(tmp_path: Path) -> None:
    assert pickle.dumps(Run(tmp_path, **ASHA).judge)
