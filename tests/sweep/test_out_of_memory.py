"""A trial that takes more memory than its node has: Ray kills its worker, the trial fails, the sweep goes on."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pyarrow.dataset as ds
import pytest

from tests.conftest import sweep_file

ROOM = 3 << 30  # bytes for the whole sweep, more than it needs
OBJECTIVE = """
import time
import torch.nn.functional as F

def loss(logits, labels):
    kept = []
    for _ in range(48 if len(labels) == 8 else 0):  # at most 3 GiB
        kept.append(b"x" * (64 << 20))
        time.sleep(0.05)
    if kept:
        time.sleep(30)
    return F.cross_entropy(logits, labels)
"""


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_trial_is_a_failed_one_and_the_others_run(tmp_path, tiny_vit, image_folder):
    (tmp_path / "mine.py").write_text(OBJECTIVE)
    blocks = {
        "train": {"epochs": 1, "objective": "mine:loss"},
        "space": {"train.batch_size": {"grid": [8, 4, 2]}},
        "resources": {"max_concurrent": 1},
    }
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **blocks)
    memory = psutil.virtual_memory()
    limit = (memory.total - memory.available + ROOM) / memory.total
    settings = {"RAY_memory_usage_threshold": f"{limit:.4f}", "RAY_memory_monitor_refresh_ms": "100"}
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    where = {"cwd": tmp_path, "env": {**os.environ, **settings, "PYTHONPATH": path}, "text": True}
    command = [sys.executable, "-m", "zfscale", "run", str(file)]

    done = subprocess.run(command, **where, capture_output=True, timeout=500)
    assert done.returncode == 1, done.stderr
    assert "2 trials finished, 1 failed" in done.stdout
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) < 30
    trials = tmp_path / "results/small/trials"
    rows = {row["train.batch_size"]: row for row in ds.dataset(trials).to_table().to_pylist()}
    assert {size: row["status"] for size, row in rows.items()} == {8: "failed", 4: "finished", 2: "finished"}
    remedy = rows[8]["error"].splitlines()[-1]
    assert remedy.startswith("out of memory: ")
    assert "micro_batch_size" in remedy
    assert "resources.max_concurrent" in remedy

    again = subprocess.run(command, **where, capture_output=True, timeout=500)
    assert again.returncode == 1, again.stderr
    counts = ds.dataset(trials).to_table(columns=["train.batch_size", "attempts"]).to_pylist()
    assert {row["train.batch_size"]: row["attempts"] for row in counts} == {
        k: row["attempts"] for k, row in rows.items()
    }
