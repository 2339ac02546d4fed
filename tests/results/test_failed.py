"""A failed trial keeps its steps, evaluations and ledger: to be looked at, and to be in no result."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results import small_results
from zfscale import report
from zfscale.errors import ZfscaleError
from zfscale.records import Status
from zfscale.results.check import look
from zfscale.results.layout import TABLES, file_of
from zfscale.results.missing import missing, root
from zfscale.results.schema import RECORDS
from zfscale.results.tables import statuses
from zfscale.spec import Sweep
from zfscale.sweep.driver import begin, forget
from zfscale.trial.replay import replay


@pytest.fixture
def swept(tmp_path):
    """A sweep whose first trial has failed after it told all of its rows; the others finished."""
    sweep = small_results.sweep(tmp_path)
    for trial in sweep.trials:
        small_results.run(root(sweep), trial, Status.FAILED if trial is sweep.trials[0] else Status.FINISHED)
    return sweep


def folder(sweep: Sweep) -> Path:
    return Path(str(root(sweep)))


def test_its_rows_are_kept_and_it_is_not_run_again(swept):
    found, failed = small_results.tables(folder(swept)), swept.trials[0].trial_id
    assert [sum(row["trial_id"] == failed for row in found[table]) for table in TABLES] == [1, 5, 80, 160]
    assert begin(swept, retry_failed=False) == missing(swept) == []
    assert not look(root(swept)).faults


def test_it_is_in_no_table_and_no_picture_of_the_report(swept, tmp_path):
    failed = swept.trials[0]
    (tmp_path / "without").mkdir()
    alone = small_results.sweep(tmp_path / "without")
    for trial in alone.trials[1:]:
        small_results.run(root(alone), trial)
    both = [folder(swept), folder(alone)]
    for there in both:
        report.make(there)
    pictures = sorted(file.name for file in both[0].glob("*.png"))
    assert pictures
    assert all((both[0] / name).read_bytes() == (both[1] / name).read_bytes() for name in pictures)
    results, without = ((there / "report.md").read_text().split("\n|", 1)[1] for there in both)
    table = without[: without.index("\n\n")]
    assert results.startswith(table)
    assert failed.trial_id in results.removeprefix(table)


@pytest.mark.parametrize("table", RECORDS)
@pytest.mark.parametrize("how", ["missing", "changed"])
def test_damage_to_its_tables_is_found(swept, table, how):
    there, name = root(swept), file_of(table, swept.trials[0].trial_id)
    if how == "missing":
        there.remove(name)
    else:
        file = folder(swept) / name
        file.write_bytes(file.read_bytes()[:-1])
    assert [fault.file for fault in look(there).faults] == [name]
    assert begin(swept, retry_failed=False) == [swept.trials[0]]


def test_a_second_attempt_replaces_its_tables(swept):
    there, failed = root(swept), swept.trials[0]
    todo = begin(swept, retry_failed=True)
    assert todo == [failed]
    forget(there, todo)
    assert not any(failed.trial_id in name for table in TABLES for name in there.names(table))
    small_results.run(there, failed)
    found = small_results.tables(folder(swept))
    assert [sum(row["trial_id"] == failed.trial_id for row in found[table]) for table in TABLES] == [1, 5, 80, 160]
    assert statuses(there)[failed.trial_id] == Status.FINISHED


def test_results_of_earlier_versions_whose_failed_trials_kept_nothing_stay_whole(swept):
    there, failed = root(swept), swept.trials[0].trial_id
    small_results.as_of_earlier_versions(folder(swept))
    for table in RECORDS:
        there.remove(file_of(table, failed))
    assert not look(there).faults
    assert statuses(there)[failed] == Status.FAILED


def test_it_is_not_replayed(swept, tmp_path):
    with pytest.raises(ZfscaleError, match=f"trial {swept.trials[0].trial_id} has not finished, its status is failed"):
        replay(root(swept), swept.trials[0].trial_id, tmp_path / "out")
