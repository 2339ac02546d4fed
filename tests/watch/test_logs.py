"""What is known of one trial. No Ray runs."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from tests.results import small_results
from zfscale.errors import ZfscaleError
from zfscale.records import Status, Step
from zfscale.results.attempts import start_attempt
from zfscale.results.layout import worker_file
from zfscale.results.lock import held
from zfscale.results.missing import root
from zfscale.results.plan import Plan
from zfscale.results.workers import Speaker
from zfscale.watch.logs import logs


@pytest.fixture
def sweep(tmp_path):
    return small_results.sweep(tmp_path)


def test_a_trial_that_ended(sweep):
    there, trial = root(sweep), sweep.trials[2]
    small_results.run(there, trial)
    text = logs(str(there), trial.trial_id[:6])
    assert text.startswith(
        f"{trial.trial_id}: ease zo-sgd lr 0.001 seed 2\nfinished, in attempt 1, after 0m01s, 320 fo"
    )
    assert "last of 80 steps" in text
    assert "   2    39" in text
    assert "after stage 2: stage_accuracy 0.5200" in text
    assert "avg_accuracy: 0.52" in text
    assert '"seed": 2' in text


def test_a_failed_trial_shows_its_error_last(sweep):
    there, trial = root(sweep), sweep.trials[0]
    small_results.run(there, trial, "failed")
    text = logs(str(there), trial.trial_id)
    assert "\nfailed, in attempt 1" in text
    assert text.endswith("error\nboom")


def test_a_trial_that_runs_one_that_was_interrupted_and_one_that_waits(sweep):
    there, (runs, interrupted, waits) = root(sweep), sweep.trials
    start_attempt(there, interrupted.trial_id)
    with held(there) as me:
        Plan.of(sweep.trials, {}, me).write(there)
        start_attempt(there, runs.trial_id)
        speaker = Speaker(there, me, "n1")
        with speaker.of(runs.trial_id, "ease", 3, runs.to_json()):
            speaker.step(Step(2, 7, 0.25, 1e-3, 164, 19.0))
            there.write(worker_file("n1", 1), json.dumps(asdict(speaker.word())).encode())
        text = logs(str(there), runs.trial_id)
        assert f"running on n1, process {speaker.word().pid}, in attempt 3" in text
        assert "last step: task 2, step 7, loss 0.25, 164 forwards in 0m19s" in text
        assert '"seed": 0' in text
        assert logs(str(there), waits.trial_id) == f"{waits.trial_id}\nnot started yet"
    assert logs(str(there), interrupted.trial_id) == f"{interrupted.trial_id}\ninterrupted, to be resumed"


def test_an_id_must_be_of_one_trial(sweep):
    there = root(sweep)
    for trial in sweep.trials:
        small_results.run(there, trial, Status.FINISHED)
    with pytest.raises(ZfscaleError, match="zz: no such trial"):
        logs(str(there), "zz")
    with pytest.raises(ZfscaleError, match="3 trials have ids that begin so: "):
        logs(str(there), "")
