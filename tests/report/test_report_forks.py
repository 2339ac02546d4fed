"""The report of forks: a row is those of parents that differ by what is drawn alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import id_of
from tests.report.test_report import add, done, spec
from zfscale.report.load import contents
from zfscale.report.rows import rows, varying


def fork(parent: dict[str, Any], rate: float, **more: Any) -> dict[str, Any]:
    whole = {"stream": {"kind": "class_incremental"}, **parent}
    about = {"trial": id_of(str(parent)), "step": 9, "results": "r", "seed": None, "tasks": 1, "spec": whole}
    return {**parent, "optimizer": {"name": "zo-sgd", "lr": rate}, "fork": {**about, **more}}


def test_forks_of_parents_that_differ_in_their_seed_are_one_row(tmp_path: Path) -> None:
    for seed in (0, 1):
        for parent in (spec("ease", "zo-adam", seed), spec("ease", "zo-adam", seed, lr=0.5)):
            for rate in (0.1, 0.2):
                add(tmp_path, fork(parent, rate), done(0.5 + seed / 10))
        add(tmp_path, fork(fork(spec("ease", "zo-adam", seed), 0.1), 0.1), done(0.5))
        add(tmp_path, spec("ease", "zo-adam", seed), done(0.5))
    trials = contents(tmp_path).trials
    assert varying(trials) == ["fork.of", "optimizer.lr"]
    of = [(row.settings["fork.of"] or "-").partition(" #")[0] for row in rows(trials)]
    assert sorted(of) == ["-", *["zo-adam lr 0.1"] * 2, *["zo-adam lr 0.5"] * 2, "zo-sgd lr 0.1"]
    assert {len(row.trials) for row in rows(trials)} == {2}


def test_what_is_drawn_after_the_fork_makes_runs_of_a_row(tmp_path: Path) -> None:
    for drawn in (1, 2, 3):
        add(tmp_path, fork(spec("ease", "zo-adam", 0), 0.1, seed=drawn), done(0.5))
    (row,) = rows(contents(tmp_path).trials)
    assert len(row.trials) == 3
