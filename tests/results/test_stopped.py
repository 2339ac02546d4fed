"""A trial that was stopped in good order has ended: it keeps its tables, and is no row of the report."""

from __future__ import annotations

import pytest

from tests.results import small_results
from zfscale import report
from zfscale.errors import ZfscaleError
from zfscale.records import Status
from zfscale.results.check import look
from zfscale.results.layout import file_of
from zfscale.results.missing import missing, root
from zfscale.results.tables import statuses
from zfscale.sweep.driver import begin
from zfscale.trial.replay import replay


def test_a_stopped_trial_has_ended(tmp_path):
    sweep = small_results.sweep(tmp_path)
    there, (stopped, failed, finished) = root(sweep), sweep.trials
    ended = {stopped: Status.STOPPED, failed: Status.FAILED, finished: Status.FINISHED}
    for trial, status in ended.items():
        small_results.run(there, trial, status)
    assert statuses(there) == {trial.trial_id: status for trial, status in ended.items()}
    assert missing(sweep) == begin(sweep, retry_failed=False) == []
    assert missing(sweep, retry_failed=True) == [failed]
    assert "1 trial finished, 1 failed, 1 stopped." in report.table(there)
    assert stopped.trial_id not in report.table(there)


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
    with pytest.raises(ZfscaleError, match=f"no finished trial '{trial.trial_id}'; there are none"):
        replay(there, trial.trial_id, tmp_path / "out")
