"""The live display: the time left is sensible from the first trial of a resumed run on. No Ray runs."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from tests.results import small_results
from zfscale.records import Status
from zfscale.results.layout import worker_file
from zfscale.results.missing import root
from zfscale.results.plan import Plan
from zfscale.results.workers import Word
from zfscale.sweep import progress as module
from zfscale.sweep.progress import Progress
from zfscale.sweep.unfinished import UNFINISHED


@pytest.fixture
def resumed(tmp_path, monkeypatch):
    """The display of a run that resumes a sweep of three trials, of which one took a second; and its clock."""
    sweep = small_results.sweep(tmp_path)
    small_results.run(root(sweep), sweep.trials[0])
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    plan = Plan.of(sweep.trials, {trial.trial_id: 320.0 for trial in sweep.trials[1:]}, "me")
    # Of the one that ended the plan does not know the forwards: its model and data were not read again.
    return sweep, Progress(sweep, root(sweep), plan), clock


def tunes(trial):
    return SimpleNamespace(trial_id=f"t{trial.seed}", config={"spec": trial.to_json()})


def test_a_resumed_run_knows_its_time_from_the_first_trial_on(resumed):
    sweep, display, clock = resumed
    clock.now += 500  # a cluster that was slow to start is not the trials' fault
    display.on_step_end(0, [])
    assert "1/3 done, 0 running" in display.line()
    assert "ETA" not in display.line()
    display.on_trial_start(0, [], tunes(sweep.trials[1]))
    clock.now += 30
    display.on_step_end(0, [])
    assert display.eta.seconds == pytest.approx(2.0)
    assert "1/3 done, 1 running, 0 failed, ETA 0m02s" in display.line()


def test_a_value_that_is_no_number_is_never_the_best(resumed):
    """Nothing is larger than NaN, nor smaller: as the best it would stay."""
    sweep, display, _ = resumed
    display.best = None
    for trial, value in zip(sweep.trials, (math.nan, 0.5, 0.6), strict=True):
        result = {"status": Status.FINISHED.value, sweep.spec.search.metric: value}
        display.on_trial_start(0, [], tunes(trial))
        display.on_trial_result(0, [], tunes(trial), result)
    assert display.best is not None
    assert display.best[0] == 0.6


def test_what_a_worker_says_counts(resumed):
    sweep, display, clock = resumed
    display.on_trial_start(0, [], tunes(sweep.trials[1]))
    word = Word(sweep.trials[1].trial_id, run="me", forwards=160, price=0.1)
    root(sweep).write(worker_file("n", 1), json.dumps(asdict(word)).encode())
    clock.now += 30
    display.on_step_end(0, [])
    assert display.eta.seconds == pytest.approx(1.5)


def test_reports_are_no_ends_and_an_unfinished_trial_is_not_done(resumed):
    sweep, display, _ = resumed
    one, other = map(tunes, sweep.trials[1:])
    for trial in (one, other):
        display.on_trial_start(0, [], trial)
    display.on_trial_result(0, [], one, {"stage": 1})
    display.on_trial_result(0, [], other, {"status": UNFINISHED, "why": "full"})
    assert "1/3 done, 1 running, 0 failed" in display.line()
    display.on_trial_result(0, [], one, {"status": "failed"})
    assert "2/3 done, 0 running, 1 failed" in display.line()
