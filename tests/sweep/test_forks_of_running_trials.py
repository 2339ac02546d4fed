"""A fork begins with the ledger of a trial that still runs, and is as one of a trial that has ended. No Ray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.sweep.test_forks import forks, steps
from tests.sweep.test_worker_stops import CASES, Alone, one_trial, to_the_end
from zfscale.results.check import look
from zfscale.results.missing import root
from zfscale.results.tables import rows
from zfscale.results.takeovers import Takeover
from zfscale.spec import Sweep, TrialSpec
from zfscale.sweep import worker

TAKEN = ["task", "step", "query", "seed", "coefficient"]


@pytest.fixture
def made(tmp_path: Path, tiny_vit: Path, image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Of one trial, of six steps in three tasks."""
    monkeypatch.setattr(worker, "node_name", lambda: "here")
    return one_trial(tmp_path / "parent", tiny_vit, image_folder, **CASES["forward-only"])


def taken_over(made: Sweep, step: int, task: int) -> TrialSpec:
    (parent,) = made.trials
    return Takeover(parent.trial_id, step, task, 7, {"optimizer.lr": 0.01}).fork(parent, str(root(made)))


def of(made: Sweep, trial: TrialSpec) -> Alone:
    """A worker of the population that has this trial."""
    mine = Alone(made)
    mine.config, mine.forked = {"spec": trial.to_json()}, True
    return mine


def test_a_fork_of_a_trial_that_runs(made: Sweep, tmp_path: Path) -> None:
    parent = of(made, made.trials[0])
    said = parent.step()
    assert (said["stage"], said["taken"], said["task"]) == (1, 2, 1)
    fork = taken_over(made, 2, 1)
    reports = to_the_end(of(made, fork))
    assert [one["stage"] for one in reports] == [2, 3], "what it shares was reported by its parent"
    assert reports[-1]["status"] == "finished"
    assert to_the_end(parent)[-1]["status"] == "finished"
    assert not look(root(made)).faults

    ledger: Any = lambda trial: rows(root(made), "ledger", TAKEN, trials=[trial.trial_id]).to_pylist()  # noqa: E731
    assert ledger(fork)[:4] == ledger(made.trials[0])[:4]
    assert ledger(fork)[4:] != ledger(made.trials[0])[4:]
    optimizer, seed = {"lr": 0.01}, {"trial": made.trials[0].trial_id, "step": 2, "seed": 7}
    plain = forks(tmp_path, made, 2, optimizer=optimizer, fork={**seed, "results": str(root(made))})
    assert plain.trials == (fork,)
    to_the_end(Alone(plain))
    assert steps(plain) == ledger(fork)


@pytest.mark.parametrize("ended", [False, True])
def test_a_fork_whose_parent_has_not_so_many_steps_fails_and_says_so(made: Sweep, ended: bool) -> None:
    parent = of(made, made.trials[0])
    parent.step()
    if ended:
        parent.stop_here()
        assert parent.step()["status"] == "stopped"
    fork = taken_over(made, 5, 3)
    assert to_the_end(of(made, fork))[-1]["status"] == "failed"
    (row,) = look(root(made), ["error"], only=[fork.trial_id]).rows
    why = "took 2 steps, and 5 are to be shared" if ended else "has not ended"
    assert why in row["error"]
