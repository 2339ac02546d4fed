"""A trial that was stopped in good order has ended: it keeps its tables, and is no row of the report."""

from __future__ import annotations

import pytest

from tests.results import small_results
from zfscale import report
from zfscale.errors import ZfscaleError
from zfscale.records import Status
from zfscale.results import resuming
from zfscale.results.check import look
from zfscale.results.decisions import RESUME, Decisions
from zfscale.results.layout import file_of, ledger_of
from zfscale.results.missing import missing, root
from zfscale.results.tables import statuses
from zfscale.sweep.driver import begin
from zfscale.trial.replay import replay
from zfscale.zo.ledger import entries


def test_a_stopped_trial_has_ended(tmp_path):
    sweep = small_results.sweep(tmp_path)
    there, (stopped, failed, finished) = root(sweep), sweep.trials
    ended = {stopped: Status.STOPPED, failed: Status.FAILED, finished: Status.FINISHED}
    for trial, status in ended.items():
        small_results.run(there, trial, status)
    assert statuses(there) == {trial.trial_id: status for trial, status in ended.items()}
    assert missing(sweep) == begin(sweep, retry_failed=False) == []
    assert missing(sweep, retry_failed=True) == [failed]
    assert "1 trial finished, 1 failed, 1 stopped." in report.make(there)[0]
    assert stopped.trial_id not in report.make(there)[0]


def test_the_tables_of_a_stopped_trial_are_checked(tmp_path):
    sweep = small_results.sweep(tmp_path)
    there, trial = root(sweep), sweep.trials[0]
    small_results.run(there, trial, Status.STOPPED)
    assert not look(there).faults
    there.remove(file_of("steps", trial.trial_id))
    assert [str(fault) for fault in look(there).faults] == [f"{file_of('steps', trial.trial_id)}: missing"]


def test_only_finished_trials_are_replayed(tmp_path):
    sweep = small_results.sweep(tmp_path)
    there, trial = root(sweep), sweep.trials[0]
    small_results.run(there, trial, Status.STOPPED)
    with pytest.raises(ZfscaleError, match=f"trial {trial.trial_id} has not finished, its status is stopped"):
        replay(there, trial.trial_id, tmp_path / "out")


def test_the_report_says_after_which_stage_trials_were_stopped(tmp_path):
    sweep = small_results.sweep(tmp_path)
    for trial, status in zip(sweep.trials, (Status.STOPPED, Status.STOPPED, Status.FINISHED), strict=True):
        small_results.run(root(sweep), trial, status)
    told = report.make(root(sweep))[0].partition("stopped trials\n")[2].split("\n\n")[0].splitlines()
    assert [line.split() for line in told[::2]] == [
        ["method", "optimizer", "after", "stage", "count"],
        ["ease", "zo-sgd", "1", "2"],
    ]
    assert "## Stopped trials" in (tmp_path / report.make(root(sweep))[1]).read_text()


def test_a_stopped_trial_is_left_only_to_those_who_ask(tmp_path):
    sweep = small_results.sweep(tmp_path)
    for trial, status in zip(sweep.trials, (Status.STOPPED, Status.FAILED, Status.FINISHED), strict=True):
        small_results.run(root(sweep), trial, status)
    assert missing(sweep, continue_stopped=True) == [sweep.trials[0]]
    assert missing(sweep, retry_failed=True, continue_stopped=True) == list(sweep.trials[:2])


def test_a_stopped_trial_is_taken_up_from_its_tables(tmp_path):
    """Its ledger is there again, and from now on no scheduler stops it; its tables stay until it runs."""
    sweep = small_results.sweep(tmp_path)
    there, trial = root(sweep), sweep.trials[0]
    small_results.run(there, trial, Status.STOPPED)
    assert begin(sweep, retry_failed=False) == list(sweep.trials[1:])
    assert there.read(ledger_of(trial.trial_id)) is None
    assert begin(sweep, retry_failed=False, continue_stopped=True) == list(sweep.trials)
    kept = list(entries(there.read(ledger_of(trial.trial_id)) or b""))
    rows = small_results.tables(tmp_path / "results" / "small")
    assert [entry.loss for entry in kept] == [row["loss"] for row in small_results.in_order(rows["steps"])]
    assert [seed for entry in kept for seed in entry.seeds] == [
        q["seed"] for q in small_results.in_order(rows["ledger"])
    ]
    assert {entry.forwards for entry in kept} == {4}
    assert [(row.trial_id, row.decision) for row in Decisions(there).rows] == [(trial.trial_id, RESUME)]
    assert statuses(there) == {trial.trial_id: Status.STOPPED}


def test_a_stopped_trial_of_other_noise_begins_again(tmp_path, monkeypatch):
    sweep = small_results.sweep(tmp_path)
    there, trial = root(sweep), sweep.trials[0]
    small_results.run(there, trial, Status.STOPPED)
    monkeypatch.setattr(resuming, "ARITHMETIC", 99)
    assert trial in begin(sweep, retry_failed=False, continue_stopped=True)
    assert there.read(ledger_of(trial.trial_id)) is None
