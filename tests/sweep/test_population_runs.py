"""Population based training as a user runs it: killed in the middle, resumed, verified, and rebuilt from decisions."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sweep.populations import assert_explained, assert_rebuilt
from tests.sweep.test_real_runs import kill_everything, run, start
from zfscale import spec
from zfscale.results.decisions import EXPLOIT, kept
from zfscale.results.missing import root
from zfscale.spec import Sweep
from zfscale.sweep import worker

BLOCKS: dict[str, Any] = {
    "name": "pop",
    "model": {"name": "embedded/vit-nano"},
    "stream": {"dataset": "digits", "tasks": 5, "validation": 0.2},
    "method": {"name": "finetune"},
    "optimizer": {"name": "zo-adam"},
    "train": {"epochs": 2, "batch_size": 32},
    "space": {"optimizer.lr": {"loguniform": [1e-5, 1.0]}},
    "search": {"samples": 6, "scheduler": {"name": "pbt", "every": 8}},
}


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "node_name", lambda: "here")


def population(folder: Path, **blocks: Any) -> Sweep:
    output = {"dir": str(folder / "results"), "wandb": {"mode": "disabled"}}
    (folder / "s.yaml").write_text(yaml.safe_dump({**BLOCKS, "output": output, **blocks}))
    return spec.load(folder / "s.yaml")


def takeovers(made: Sweep) -> int:
    return sum(row.decision == EXPLOIT for row in kept(root(made)))


def kill_after(made: Sweep, count: int) -> None:
    """Run it until so many have been decided on, and kill the run and all of its workers."""
    process, deadline = start(made.path), time.monotonic() + 400
    while takeovers(made) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    kill_everything(process)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_population_that_is_killed_ends_in_what_its_decisions_imply(tmp_path: Path) -> None:
    made = population(tmp_path)
    for count in (2, 4):
        kill_after(made, count)
    ended = run(made.path)
    assert ended.returncode == 0, ended.stderr
    assert "report:" in ended.stdout
    assert takeovers(made) >= 5
    assert_explained(made)
    assert_rebuilt(made, tmp_path / "plain")
    command = [sys.executable, "-m", "zfscale", "verify", str(root(made))]
    verified = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert verified.returncode == 0, verified.stdout + verified.stderr
    before = kept(root(made))
    again = run(made.path)
    assert again.returncode == 0, again.stderr
    assert kept(root(made)) == before
    assert "at least" in run(made.path, "--dry-run").stdout.splitlines()[-1]
