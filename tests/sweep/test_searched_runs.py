"""A sweep that a searcher proposes, as a user runs it: under a scheduler and a budget, and on with a larger one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest

from tests.conftest import sweep_file
from zfscale.results.decisions import FINISHED, PROPOSE, SEARCH, STOP, TOLD

SEARCH_FOR: dict[str, Any] = {
    "space": {"optimizer.lr": {"loguniform": [1e-4, 1.0]}},
    "search": {"samples": 5, "algorithm": {"name": "optuna", "startup": 2}, "scheduler": {"name": "asha", "every": 1}},
}


@pytest.mark.long
def test_a_searched_sweep_goes_on_where_its_budget_ended_it(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    stream = {"dataset": {"path": str(image_folder), "format": "imagefolder"}, "tasks": 3, "validation": 0.3}
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **SEARCH_FOR, stream=stream)

    def run(*more: str) -> str:
        command = [sys.executable, "-m", "zfscale", "run", str(file), *more]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, env={**os.environ})
        assert done.returncode == 0, done.stderr
        return done.stdout

    def table(name: str) -> list[dict[str, Any]]:
        return ds.dataset(tmp_path / "results" / "small" / name, format="parquet").to_table().to_pylist()

    spent = run("--set", "search.budget={trials: 3}")
    assert "search.budget is spent (trials 3 of 3): 2 of 5 trials were not run" in spent
    assert len(table("trials")) == 3
    status = [sys.executable, "-m", "zfscale", "status", str(tmp_path / "results" / "small")]
    said = subprocess.run(status, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "3 of 5 trials ended" in said
    assert "2 not run, since search.budget is spent (trials 3 of 3)" in said
    assert "not run" not in run()
    trials, rows = table("trials"), table("decisions")
    assert len(trials) == 5
    count = Counter(row["decision"] for row in rows)
    assert (count[SEARCH], count[PROPOSE], count[TOLD]) == (1, 5, 5), "the second run has taken the search up"
    assert count[STOP] + count[FINISHED] == 5
    proposed = [json.loads(row["why"])["values"]["optimizer.lr"] for row in rows if row["decision"] == PROPOSE]
    assert sorted(proposed) == sorted(row["optimizer.lr"] for row in trials)
    statuses = {row["trial_id"]: row["status"] for row in trials}
    assert all(json.loads(row["why"])["status"] == statuses[row["trial_id"]] for row in rows if row["decision"] == TOLD)
