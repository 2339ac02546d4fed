"""What `zfscale run` says last of trials that failed or were stopped, and whether the same command runs them again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.results import small_results
from zfscale import spec
from zfscale.cli import main
from zfscale.report import make
from zfscale.results.attempts import start_attempt
from zfscale.results.missing import root
from zfscale.results.plan import Plan, read
from zfscale.sweep.ending import Ended, finish
from zfscale.watch.standing import standing
from zfscale.watch.status import shown

OVER = "search.until is reached"


@pytest.mark.parametrize(
    ("ended", "status", "told"),
    [
        (Ended(0), 0, ""),
        (Ended(0, failed=2), 1, "failed: 2 of 3 trials; --retry-failed runs them again\n"),
        (Ended(0, stopped=1), 0, "stopped: 1 of 3 trials; --continue-stopped runs them to their end\n"),
        (Ended(0, failed=2, over=OVER), 1, f"failed: 2 of 3 trials; none is run again, since {OVER}\n"),
        (Ended(0, stopped=1, over=OVER), 0, f"stopped: 1 of 3 trials; none is run again, since {OVER}\n"),
        (Ended(2), 130, "unfinished: 2 of 3 trials left; run the same command to go on\n"),
    ],
)
def test_what_runs_trials_again_is_told(
    ended: Ended, status: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("zfscale.sweep.launch.run", lambda *_, **__: ended)
    assert main(["run", str(small_results.sweep(tmp_path).path)]) == status
    assert capsys.readouterr().err == told


def test_a_sweep_that_has_ended_knows_how(tmp_path: Path) -> None:
    sweep = small_results.sweep(tmp_path)
    for trial, status in zip(sweep.trials, ("finished", "failed", "stopped"), strict=True):
        small_results.run(root(sweep), trial, status)
    ended = finish(sweep)
    assert (ended.left, ended.failed, ended.stopped, ended.trials, ended.over) == (0, 1, 1, 3, "")
    spent = finish(spec.load(sweep.path, ["search.budget={trials: 2}"]))
    assert spent.over == "search.budget is spent (trials 3 of 2)"
    assert "not run" not in spent.report


def test_trials_that_were_not_run_are_in_the_report_that_is_written(tmp_path: Path) -> None:
    sweep = small_results.sweep(tmp_path)
    small_results.run(root(sweep), sweep.trials[0])
    told = "search.budget is spent (trials 1 of 1): 2 of 3 trials were not run"
    assert told in finish(spec.load(sweep.path, ["search.budget={trials: 1}"])).report
    assert told in (tmp_path / "results" / "small" / "report.md").read_text()


def test_who_looks_on_is_told_what_the_run_says(tmp_path: Path) -> None:
    """Of an interrupted sweep whose budget was lowered to what is spent, and of one that has become smaller since."""
    sweep = small_results.sweep(tmp_path)
    there = root(sweep)
    small_results.run(there, sweep.trials[0])
    start_attempt(there, sweep.trials[1].trial_id)
    plan = Plan.of(sweep.trials, {}, "me")
    replace(plan, inputs={"a": {"b": "c"}}).write(there)
    told = "search.budget is spent (trials 1 of 1): 2 of 3 trials were not run"
    assert told in finish(spec.load(sweep.path, ["search.budget={trials: 1}"])).report
    assert told in make(there)[0]
    assert "1 of 3 trials ended, 1 finished, 0 failed, 0 stopped, 2 not run, since" in shown(standing(there))
    assert "not run" not in finish(spec.load(sweep.path, ["space.seed.grid=[0]"])).report
    assert "not run" not in make(there)[0]
    assert "1 of 1 trials ended, 1 finished, 0 failed, 0 stopped\n" in shown(standing(there))
    kept = read(there)
    assert kept is not None
    assert (kept.run, kept.started, kept.inputs) == ("me", plan.started, {"a": {"b": "c"}})
