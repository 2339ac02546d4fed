"""Sweeps as a user runs them: the real command, real Ray, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from tests.conftest import Memory, sweep_file
from zfscale import spec
from zfscale.results.missing import missing
from zfscale.sweep.worker import start_attempt
from zfscale.trial import run as trial
from zfscale.trial.inputs import Inputs

TIMINGS = {"seconds", "peak_memory_bytes", "attempts", "files"}  # the last: checksums of the others
DAMAGED = ("trials", "evals", "steps")
LONG = {"train": {"epochs": 8, "batch_size": 8}}  # long enough to be interrupted in the middle


def command(file: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "zfscale", "run", str(file), *more]


def run(file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(file, *more), capture_output=True, text=True, timeout=240)


def start(file: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(command(file), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def table(results: Path, name: str) -> list[dict]:
    """Rows in a stable order, without what may differ between two runs."""
    rows = ds.dataset(results / name, format="parquet").to_table().to_pylist()
    rows = [{k: v for k, v in row.items() if k not in TIMINGS} for row in rows]
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def tables(results: Path) -> dict[str, list[dict]]:
    return {name: table(results, name) for name in ("trials", "evals", "ledger")}


def wait_for_attempts(results: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Until `count` trials have been started."""
    deadline = time.monotonic() + 300
    while len(list((results / ".attempts").glob("*"))) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_everything(process: subprocess.Popen[str]) -> None:
    """SIGKILL the driver and all that descends from it."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            member.kill()
    process.wait()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_vit, image_folder):
    """Results of four trials that nothing disturbed."""
    file = sweep_file(
        tmp_path_factory.mktemp("undisturbed") / "s.yaml",
        tiny_vit,
        image_folder,
        **LONG,
        space={"seed": {"grid": [0, 1, 2, 3]}},
    )
    done = run(file)
    assert done.returncode == 0, done.stderr
    return file.parent / "results" / "small", file, done


def test_a_sweep_ends_with_a_table_and_its_files(undisturbed):
    results, _, done = undisturbed
    assert "4 trials finished, 0 failed" in done.stdout
    assert "ease" in done.stdout
    assert (results / "report.md").exists()
    assert (results / "accuracy_per_stage.png").stat().st_size > 10_000
    assert not (results / ".tmp").exists()
    assert "4/4 done" in done.stderr


def test_every_table_opens_with_one_line(undisturbed):
    """The README's lines, on all four tables."""
    import duckdb
    import pandas
    import polars

    for name, rows in (("trials", 4), ("evals", 36), ("steps", 192), ("ledger", 192)):
        path = str(undisturbed[0] / name)
        assert len(pandas.read_parquet(path)) == rows
        assert len(polars.read_parquet(path)) == rows
        assert duckdb.execute(f"select count(*) from '{path}/*.parquet'").fetchall() == [(rows,)]


def test_run_again_does_nothing_and_is_quick(undisturbed):
    results, file, _ = undisturbed
    before = {p: p.stat().st_mtime_ns for p in (results / "trials").iterdir()}
    started = time.monotonic()
    again = run(file)
    assert again.returncode == 0
    assert time.monotonic() - started < 20
    assert {p: p.stat().st_mtime_ns for p in (results / "trials").iterdir()} == before


@pytest.mark.long
def test_killed_at_a_random_moment_the_same_command_gives_the_same_tables(
    tmp_path, tiny_vit, image_folder, undisturbed
):
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **LONG, space={"seed": {"grid": [0, 1, 2, 3]}})
    results = tmp_path / "results" / "small"
    process = start(file)
    wait_for_attempts(results, 2, process)
    time.sleep(random.random() * 3)
    kill_everything(process)
    done = run(file)
    assert done.returncode == 0, done.stderr
    assert tables(results) == tables(undisturbed[0])


@pytest.mark.slow
def test_damaged_results_are_told_and_made_again(tmp_path, tiny_vit, image_folder, undisturbed):
    """A table of each trial is damaged in another way; the same command heals just these."""
    results, *_ = undisturbed
    copy = tmp_path / "results" / "small"
    shutil.copytree(results, copy)
    mine = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **LONG, space={"seed": {"grid": [0, 1, 2, 3]}})
    a, b, c, whole = (t.trial_id for t in spec.load(mine).trials)
    trials, evals, steps = (copy / t / f"{i}.parquet" for t, i in zip(DAMAGED, (a, b, c), strict=True))
    trials.write_bytes(trials.read_bytes()[:-100])
    evals.unlink()
    data = pq.read_table(steps)
    pq.write_table(data.slice(0, len(data) - 5), steps)
    shutil.copy(copy / "trials" / f"{whole}.parquet", copy / "trials" / f"{whole} (copy).parquet")
    untouched = (copy / "trials" / f"{whole}.parquet").stat().st_mtime_ns

    done = run(mine)
    assert done.returncode == 0, done.stderr
    for damaged in (trials, evals, steps):
        assert f"{damaged.parent.name}/{damaged.name}" in done.stderr
    assert f"{whole} (copy).parquet" in done.stderr
    assert "4 trials finished, 0 failed" in done.stdout
    (copy / "trials" / f"{whole} (copy).parquet").unlink()
    assert tables(copy) == tables(results)
    assert (copy / "trials" / f"{whole}.parquet").stat().st_mtime_ns == untouched


@pytest.mark.long
def test_ctrl_c_ends_cleanly_and_a_dead_worker_costs_no_trial(tmp_path, tiny_vit, image_folder, undisturbed):
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **LONG, space={"seed": {"grid": [0, 1, 2, 3]}})
    results = tmp_path / "results" / "small"
    process = start(file)
    wait_for_attempts(results, 1, process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "run the same command to go on" in err
    assert "Traceback" not in err

    process = start(file)
    wait_for_attempts(results, 3, process)
    workers = [
        p
        for p in psutil.Process(process.pid).children(recursive=True)
        if "ray::ResourceTrainable" in " ".join(p.cmdline())
    ]
    assert workers
    workers[0].kill()
    _, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert tables(results) == tables(undisturbed[0])


def test_a_failing_trial_is_recorded_and_the_file_can_grow(tmp_path, tiny_vit, image_folder):
    """One diverging learning rate: the others finish; adding a value runs only what is new."""
    space = {"optimizer.lr": {"grid": [1e-3, 1e30]}}
    blocks = {"method": {"name": "finetune"}, "optimizer": {"name": "fo-sgd"}, "train": {"epochs": 4, "batch_size": 8}}
    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **blocks, space=space)
    first = run(file)
    assert first.returncode == 1, first.stderr
    assert "failed: 1 of 2 trials" in first.stderr
    results = tmp_path / "results" / "small"
    rows = {row["optimizer.lr"]: row for row in ds.dataset(results / "trials").to_table().to_pylist()}
    assert rows[1e-3]["status"] == "finished"
    assert rows[1e30]["status"] == "failed"
    assert "Diverged" in rows[1e30]["error"]
    assert "Traceback" in rows[1e30]["error"]
    assert "1 failed" in first.stdout

    space["optimizer.lr"]["grid"].append(1e-2)
    grown = spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, **blocks, space=space))
    assert [t.optimizer.lr for t in missing(grown)] == [1e-2]
    assert [t.optimizer.lr for t in missing(grown, retry_failed=True)] == [1e30, 1e-2]
    failed = next(t.trial_id for t in grown.trials if t.optimizer.lr == 1e30)
    assert (rows[1e30]["attempts"], start_attempt(results, failed)) == (1, 2)


def test_thirty_classes_of_mixed_rgb_images_on_both_kinds_of_model(tmp_path, tiny_vit):
    """A user's own folder, with the embedded model and with a randomly initialised one."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for c in range(30):
        (tmp_path / "mine" / f"c{c:02}").mkdir(parents=True)
        for i in range(4):
            shape = (int(rng.integers(20, 60)), int(rng.integers(20, 60)), 3)
            Image.fromarray(rng.integers(0, 255, shape).astype(np.uint8)).save(
                tmp_path / "mine" / f"c{c:02}" / f"{i}.jpg"
            )
    file = sweep_file(
        tmp_path / "s.yaml",
        tiny_vit,
        tmp_path / "mine",
        space={"model.name": {"grid": ["embedded/vit-nano", str(tiny_vit)]}},
    )
    sweep = spec.load(file)
    inputs = Inputs(sweep.trials)
    outcomes = [trial.run(one, *inputs.of(one), Memory()) for one in sweep.trials]
    assert [outcome.status for outcome in outcomes] == ["finished", "finished"]
    accuracies = [outcome.last_accuracy for outcome in outcomes]
    assert all(accuracy is not None and 0 <= accuracy <= 1 for accuracy in accuracies)


def test_two_runs_at_once_are_refused(tmp_path, tiny_vit, image_folder):
    import fcntl

    file = sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder)
    results = tmp_path / "results" / "small"
    results.mkdir(parents=True)
    with open(results / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = run(file)
    assert refused.returncode == 2
    assert "another run of this sweep" in refused.stderr
