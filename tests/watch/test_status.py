"""How a sweep stands, from its directory alone. No Ray runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from tests.buckets import bucket
from tests.results import small_results
from zfscale.records import Eval, Outcome, Status, Step
from zfscale.results.attempts import start_attempt
from zfscale.results.layout import LOCK, PLAN, TRIALS, file_of, worker_file
from zfscale.results.lock import held
from zfscale.results.missing import root
from zfscale.results.plan import Plan, label, read
from zfscale.results.workers import Speaker, Word, words
from zfscale.sinks.about import About
from zfscale.sinks.parquet import ParquetSink
from zfscale.watch.logs import logs
from zfscale.watch.standing import NoResults, standing
from zfscale.watch.status import shown


@pytest.fixture
def sweep(tmp_path):
    return small_results.sweep(tmp_path)


@pytest.fixture
def there(sweep):
    return root(sweep)


def test_a_sweep_that_has_ended(sweep, there):
    ended = (Status.FINISHED, Status.FAILED, Status.STOPPED)
    for trial, status in zip(sweep.trials, ended, strict=True):
        small_results.run(there, trial, status)
    Plan.of(sweep.trials, {}, "me").write(there)
    now = standing(str(there))
    assert now.counts == dict.fromkeys(Status, 1) | {"running": 0, "interrupted": 0, "waiting": 0, "unwanted": 0}
    text = shown(now)
    assert "small: 3 of 3 trials ended, 1 finished, 1 failed, 1 stopped" in text
    assert f"1 failed trial by cause\n      1  boom\n         such as {sweep.trials[1].trial_id}: boom" in text
    assert "no run writes here; the last run began" in text
    assert "ETA" not in text


def test_trials_that_a_spent_budget_left_do_not_wait(sweep, there):
    done, begun, _ = sweep.trials
    small_results.run(there, done)
    start_attempt(there, begun.trial_id)
    replace(Plan.of(sweep.trials, {}, "me"), over="search.budget is spent (trials 1 of 1)").write(there)
    now = standing(str(there))
    assert [now.counts[what] for what in ("interrupted", "waiting", "unwanted")] == [0, 0, 2]
    assert "1 of 3 trials ended, 1 finished, 0 failed, 0 stopped, 2 not run, since search.budget is spent" in shown(now)
    with held(there):  # a run with a larger budget has begun
        assert standing(str(there)).counts["unwanted"] == 0


def test_the_slowest_are_those_that_finished(sweep, there):
    fast, failed, slow = sweep.trials
    for trial, status, seconds in (
        (fast, Status.FINISHED, 1.0),
        (failed, Status.FAILED, 9.0),
        (slow, Status.FINISHED, 2.0),
    ):
        outcome = Outcome(status, {"seconds": seconds}, error="boom" if status is Status.FAILED else None)
        ParquetSink(About(there, trial.trial_id, trial.to_json(), {})).close(outcome)
    assert [row["trial_id"] for row in standing(str(there)).slowest] == [slow.trial_id, fast.trial_id]


def test_a_sweep_that_runs(sweep, there):
    """One ended before, one is in its second task, one waits."""
    before, runs, _ = sweep.trials
    small_results.run(there, before)
    with held(there) as me:
        Plan.of(sweep.trials, {trial.trial_id: 320 for trial in sweep.trials}, me).write(there)
        start_attempt(there, runs.trial_id)
        speaker = Speaker(there, me, "n1")
        with speaker.of(runs.trial_id, "ease zo-sgd", 1) as taken:
            speaker.step(Step(1, 0, 0.5, 1e-3, 4, 3.0))
            speaker.eval(Eval(1, 0, "stage_accuracy", 0.5))
            speaker.step(Step(2, 7, 0.25, 1e-3, 164, 19.0))
            there.write(worker_file("n1", 1), json.dumps(asdict(speaker.word())).encode())
        now = standing(str(there))
    assert taken == {"forwards": 164, "seconds": 19.0}
    assert now.alive
    assert now.counts["running"] == now.counts["waiting"] == 1
    (word,) = now.running
    assert (word.stage, word.task, word.step, word.forwards, word.price) == (1, 2, 7, 164, 0.1)
    text = shown(now)
    assert f"{runs.trial_id}  ease zo-sgd  n1" in text
    assert "164/320" in text
    assert now.eta is not None
    found = json.loads(now.as_json())
    assert found["workers"][0]["of_forwards"] == 320
    assert found["eta"]["seconds"] == pytest.approx(now.eta.seconds)


def test_a_trial_of_which_no_worker_has_spoken_yet_runs(sweep, there):
    """So does none that an earlier run began, or whose worker belonged to one."""
    new, old, _ = sweep.trials
    start_attempt(there, old.trial_id)
    os.utime(there.root / ".attempts" / old.trial_id, (1, 1))
    word = Word(old.trial_id, run="another", said=time.time())
    there.write(worker_file("n1", 1), json.dumps(asdict(word)).encode())
    with held(there) as me:
        Plan.of(sweep.trials, {}, me).write(there)
        start_attempt(there, new.trial_id)
        now = standing(str(there))
    assert [word.trial_id for word in now.running] == [new.trial_id]
    assert now.counts["interrupted"] == now.counts["waiting"] == 1
    assert "1 interrupted, 1 waiting" in shown(now)


def test_a_run_that_was_killed_is_told_after_a_while(sweep, there):
    small_results.run(there, sweep.trials[0])
    start_attempt(there, sweep.trials[1].trial_id)
    Plan.of(sweep.trials, {}, "me").write(there)
    there.write(LOCK, b"me away 00000007")
    os.utime(there.root / LOCK, (time.time() - 100,) * 2)
    now = standing(str(there))
    assert not now.alive
    assert "no sign of the run on away for 1m40s" in shown(now)
    assert now.counts["interrupted"] == 1


def test_results_of_earlier_versions_are_readable(sweep, there):
    small_results.run(there, sweep.trials[0])
    now = standing(str(there))
    assert (now.total, now.counts["waiting"], now.eta) == (None, None, None)
    assert "small: 1 trials ended" in shown(now)
    assert "is not known" in shown(now)


BROKEN = [b"", b"{", b"[]", b'{"run": 1}', b'{"kinds": [], "expected": {"a": [0, 1]}}', b"\xff"]


@pytest.mark.parametrize("content", BROKEN)
def test_a_plan_that_cannot_be_understood_is_none(there, content):
    there.write(PLAN, content)
    assert read(there) is None


def test_a_plan_comes_back(sweep, there):
    plan = Plan.of(sweep.trials, {sweep.trials[0].trial_id: 12.5}, "me")
    plan.write(there)
    assert read(there) == plan


def test_rows_that_the_last_run_did_not_ask_for_are_told_and_not_counted(sweep, there):
    for trial in sweep.trials:
        small_results.run(there, trial)
    Plan.of(sweep.trials[:1], {}, "me").write(there)
    text = shown(standing(str(there)))
    assert "1 of 1 trials ended" in text
    assert "2 more trials are here" in text


def test_a_damaged_row_is_told(sweep, there):
    for trial in sweep.trials[:2]:
        small_results.run(there, trial)
    there.write(file_of(TRIALS, sweep.trials[0].trial_id), b"x")
    assert "1 damaged, such as trials/" in shown(standing(str(there)))


def test_the_last_word_of_a_trial_is_that_of_its_last_attempt(there):
    for pid, (attempt, said) in enumerate([(1, 50.0), (2, 10.0), (2, 20.0)]):
        word = Word("a", run="me", attempt=attempt, said=said)
        there.write(worker_file("n", pid), json.dumps(asdict(word)).encode())
    there.write(worker_file("n", 9), b"torn")
    assert [(word.attempt, word.said) for word in words(there)] == [(2, 20.0)]


def test_a_directory_without_results_is_an_error(tmp_path):
    with pytest.raises(NoResults, match="no results of a sweep"):
        standing(str(tmp_path))


def test_the_command_is_light(sweep, there):
    small_results.run(there, sweep.trials[0])
    code = "import sys; from zfscale.cli import main; main(sys.argv[1:]); "
    code += "assert not {'torch', 'ray', 'matplotlib'} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code, "status", str(there)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("small: 1 trials ended")


def test_a_bucket_tells_as_much(sweep):
    there = bucket()
    small_results.run(there, sweep.trials[0])
    start_attempt(there, sweep.trials[1].trial_id)
    word = Word(sweep.trials[1].trial_id, label="ease", run="me", task=1, loss=0.5, said=time.time())
    there.write(worker_file("n1", 1), json.dumps(asdict(word)).encode())
    there.write(LOCK, b"me away 00000007")
    Plan.of(sweep.trials, {}, "me").write(there)
    now = standing(there)
    assert now.alive
    assert (now.counts["finished"], now.counts["running"], now.counts["waiting"]) == (1, 1, 1)
    assert "last step: task 1" in logs(there, sweep.trials[1].trial_id)
    assert "finished" in logs(there, sweep.trials[0].trial_id)


@pytest.mark.parametrize(("method", "by"), [("ease", True), ("simplecil", False), ("not_here:Mine", True)])
def test_a_trial_is_named_by_its_optimizer_unless_its_method_trains_nothing(method, by, sweep):
    trial = sweep.trials[0]
    trial = trial.model_copy(update={"method": trial.method.model_copy(update={"name": method})})
    assert label(trial) == f"{method}{' zo-sgd lr 0.001' * by} seed {trial.seed}"
