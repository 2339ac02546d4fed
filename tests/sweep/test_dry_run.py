"""What a dry run says of all trials together."""

from __future__ import annotations

import re
from pathlib import Path

from tests.conftest import sweep_file
from tests.results import small_results
from zfscale import spec
from zfscale.results.missing import root
from zfscale.sweep.dry_run import describe


def test_a_budget_is_told_beside_what_all_trials_would_take(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder)
    total = describe(spec.load(file)).splitlines()[-1]
    assert total == "2 trials, 2 to run, 24 training forwards; memory is an estimate a worker"
    limited = spec.load(file, ["search.budget={trials: 1, forwards: 12000}"])
    assert describe(limited).splitlines()[-1] == (
        "2 trials, 2 to run, 24 training forwards; search.budget: at most 1 trials, 12,000 forwards; "
        "memory is an estimate a worker"
    )


def test_trials_that_no_run_has_made_are_not_done(tmp_path: Path) -> None:
    """One has ended and spent the budget, or was stopped."""
    sweep = small_results.sweep(tmp_path)
    small_results.run(root(sweep), sweep.trials[0])
    assert states(sweep) == (["finished", "to run", "to run"], "3 trials, 2 to run")
    spent = spec.load(sweep.path, ["search.budget={trials: 1}"])
    why = "since search.budget is spent (trials 1 of 1)"
    assert states(spent) == (["finished", "not run", "not run"], f"3 trials, 0 to run, {why}")
    small_results.run(root(sweep), sweep.trials[1], "stopped")
    assert states(sweep)[0] == ["finished", "stopped", "to run"]


def states(sweep: spec.Sweep) -> tuple[list[str], str]:
    *lines, total = describe(sweep).splitlines()
    return [line[14:22].strip() for line in lines], re.split(r", \d+ training", total)[0]
