"""A sweep that is watched, limited and stopped from outside: the real commands, real Ray, in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.conftest import sweep_file
from zfscale import spec
from zfscale.results.layout import PLAN, STOP, WORKERS
from zfscale.results.storage import storage
from zfscale.results.tables import rows
from zfscale.results.workers import words

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]  # a loaded machine takes minutes to start Ray
LONG = 600  # seconds for one command

HANG = """
import ctypes
import time
from collections import Counter

import torch.nn.functional as F

calls = Counter()


def locked(logits, labels):
    sleep = ctypes.PyDLL(None).sleep  # a C function that keeps the interpreter's lock
    return after_two_steps("locked", sleep, logits, labels)


def waiting(logits, labels):
    return after_two_steps("waiting", time.sleep, logits, labels)


def after_two_steps(name, sleep, logits, labels):
    calls[name] += 1
    if calls[name] == 5:
        sleep(600)
    return F.cross_entropy(logits, labels)
"""


def zfscale(*words, **more):
    command = [sys.executable, "-m", "zfscale", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LONG, **more)


def test_a_trial_that_hangs_is_told_ended_and_costs_the_others_nothing(tmp_path, tiny_vit, image_folder):
    """One worker runs all three, so the others need its slot; steps of one that lets other threads run are kept."""
    (tmp_path / "hang.py").write_text(HANG)
    blocks = {
        "space": {"train.objective": {"grid": ["hang:locked", "hang:waiting", "cross_entropy"]}},
        "resources": {"max_concurrent": 1, "max_idle_seconds": 45},
    }
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **blocks)
    done = zfscale("run", file, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "is ended: NoProgress: " in done.stderr
    results = tmp_path / "results" / "small"
    found = rows(results, "trials", ["spec", "trial_id", "status", "attempts", "error"]).to_pylist()
    ended = {json.loads(row["spec"])["train"]["objective"]: row for row in found}
    assert ended["cross_entropy"]["status"] == "finished"
    for name in ("hang:locked", "hang:waiting"):
        assert (ended[name]["status"], ended[name]["attempts"]) == ("failed", 1)
        assert ended[name]["error"].endswith("for resources.max_idle_seconds: 45")
    steps = [row["trial_id"] for row in rows(results, "steps", ["trial_id"]).to_pylist()]
    assert steps.count(ended["hang:waiting"]["trial_id"]) == 2

    again = zfscale("run", file, "--retry-failed=NoProgress", "--dry-run", cwd=tmp_path)
    assert again.stdout.splitlines()[-1].startswith("3 trials, 2 to run")


def test_a_sweep_that_runs_is_seen_and_stopped_from_outside(tmp_path, tiny_vit, image_folder):
    long = {"train": {"epochs": 3000, "batch_size": 8}, "resources": {"max_concurrent": 1}}
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **long)
    results = storage(tmp_path / "results" / "small")
    process = subprocess.Popen(
        [sys.executable, "-m", "zfscale", "run", str(file)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + LONG
    while not any(word.forwards for word in words(results)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.2)
    status = json.loads(zfscale("status", results, "--json").stdout)
    assert (status["alive"], status["total"], status["running"], status["waiting"]) == (True, 2, 1, 1)
    (worker,) = status["workers"]
    assert 0 < worker["forwards"] < worker["of_forwards"] == 3 * 2 * 3000 * 2
    assert worker["trial_id"] in {trial.trial_id for trial in spec.load(file).trials}
    assert "running on " in zfscale("logs", results, worker["trial_id"]).stdout

    assert zfscale("stop", results).returncode == 0
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 130, err
    assert "unfinished: 2 of 2 trials left" in err
    assert not results.names(WORKERS)
    assert not results.exists(STOP)
    assert results.exists(PLAN)
    left = json.loads(zfscale("status", results, "--json").stdout)
    assert (left["alive"], left["interrupted"], left["waiting"]) == (False, 1, 1)
