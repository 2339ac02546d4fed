"""The W&B run of a whole sweep: what it is told, how it ends, and that it is uploaded with those of the trials."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import pytest

from tests.conftest import sweep_file
from tests.sinks.test_wandb import history, inspect
from zfscale import spec
from zfscale.results.forecast import Eta
from zfscale.results.layout import LOCK, PAGE, PICTURES, note_of
from zfscale.results.storage import Directory, storage
from zfscale.sinks import wandb_start
from zfscale.sinks.wandb_runs import runs_on_disk
from zfscale.sinks.wandb_sweep import id_of, main
from zfscale.sinks.wandb_sync import Synced, _ready
from zfscale.sweep.wandb_process import WandbProcess, wandb_process

ROWS: list[dict[str, Any]] = [
    {"minutes": 0.0, "finished": 0, "left": 2},
    {"minutes": 1.0, "finished": 2, "left": 0, "best_trial": "ease"},
]


def told(root: Path, *words, mode: str = "offline") -> int:
    about = {"root": str(root), "sweep": "demo", "config": {"name": "demo"}, "options": {"mode": mode, "project": "p"}}
    return main([json.dumps(word) for word in (about, *words)])


def picture(root: Path) -> None:
    matplotlib.use("agg")
    from matplotlib.figure import Figure

    root.mkdir(exist_ok=True)
    Figure(figsize=(1, 1)).savefig(root / PICTURES[0])


def test_it_shows_how_the_sweep_stands_and_the_report(tmp_path):
    picture(tmp_path)
    (tmp_path / PAGE).write_text("<!doctype html><title>demo</title>")
    assert told(tmp_path, ROWS[0], {**ROWS[1], "shown": [PICTURES[0], PAGE]}) == 0
    (run,) = runs_on_disk(tmp_path)
    found = json.loads(inspect(run.directory, "--summary"))
    assert (found["run_id"], found["name"], found["config"]) == (id_of("demo"), "demo", {"name": "demo"})
    assert {"best_trial": "ease", "finished": 2, "left": 0}.items() <= found["summary"].items()
    rows = history(run.directory)
    assert [row["finished"] for row in rows if "finished" in row] == [0, 2]
    assert len(list(run.directory.glob(f"files/media/images/{Path(PICTURES[0]).stem}*.png"))) == 1
    (page,) = run.directory.glob("files/media/html/*.html")
    assert page.read_bytes() == (tmp_path / PAGE).read_bytes()


def test_a_driver_that_was_killed_leaves_what_it_told(tmp_path):
    assert told(tmp_path, ROWS[0]) == 0
    (run,) = runs_on_disk(tmp_path)
    assert json.loads(inspect(run.directory, "--summary"))["state"] == "finished"


def test_a_later_run_of_the_sweep_takes_its_place(tmp_path):
    for row in ROWS:
        told(tmp_path, row)
    (run,) = runs_on_disk(tmp_path)
    assert [row["finished"] for row in history(run.directory)] == [2]


def test_a_driver_that_tells_nothing_has_no_run(tmp_path):
    assert main([]) == 0
    assert not list(tmp_path.iterdir())


def test_a_broken_wandb_is_told_with_the_results(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("service died")

    monkeypatch.setattr(wandb_start, "root_of", refuse)
    assert told(tmp_path, ROWS[0]) == 1
    assert "its trials go on: service died" in (tmp_path / note_of("wandb")).read_text()


def test_it_is_uploaded_once_nothing_drives_the_sweep(tmp_path):
    told(tmp_path, *ROWS)
    there = storage(tmp_path)
    assert isinstance(there, Directory)
    there.write(LOCK, f"{'0' * 32} {os.uname().nodename} 1".encode())
    assert not _ready(there, Synced())
    there.remove(LOCK)
    assert [run.of_sweep for run in _ready(there, Synced())] == [True]


@pytest.fixture
def sweep(tmp_path, tiny_vit, image_folder):
    on = {"dir": str(tmp_path / "results"), "wandb": {"mode": "offline"}}
    return spec.load(sweep_file(tmp_path / "s.yaml", tiny_vit, image_folder, output=on))


def display(**more):
    counts = {"left": 1, "running": 1, "finished": 0, "failed": 0, "stopped": 0}
    shown = {"counts": counts, "running": {"t": ()}, "eta": Eta(60.0, 0.0, 90.0), "best": (0.5, "ease seed 0")}
    return SimpleNamespace(**{**shown, **more}, search=SimpleNamespace(metric="avg_accuracy"))


def test_the_driver_tells_it_and_waits_for_the_end(sweep, tmp_path):
    picture(tmp_path / "results")
    with wandb_process(sweep) as process:
        process.tell(display())
        process.tell(display(running={}))  # too soon to be told now; the last word has it
        process.complete = True
    (run,) = runs_on_disk(tmp_path / "results" / "small")
    found = json.loads(inspect(run.directory, "--summary"))
    assert (found["state"], found["summary"]["best_trial"]) == ("finished", "ease seed 0")
    assert found["summary"]["best_avg_accuracy"] == 0.5
    rows = history(run.directory)
    assert [row.get("eta_minutes") for row in rows] == [1.0, None]


def test_a_sweep_that_wandb_is_not_to_see_starts_nothing(sweep, monkeypatch):
    output = sweep.spec.output.model_copy(update={"wandb": spec.WandbSpec(mode="disabled")})
    quiet = replace(sweep, spec=sweep.spec.model_copy(update={"output": output}))
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *given, **_: started.append(given))
    with wandb_process(quiet) as process:
        process.tell(display())
    assert started == []


def test_a_process_that_died_is_no_error(sweep, monkeypatch):
    dead = subprocess.Popen([sys.executable, "-c", ""], stdin=subprocess.PIPE, text=True)
    dead.wait()
    started = []
    monkeypatch.setattr(WandbProcess, "_start", lambda self: started.append(dead) or dead)
    with wandb_process(sweep) as process:
        process.tell(display())
        process.tell(display())
    assert started == [dead], "it is not started again for every word"
    assert dead.stdin is not None
    assert dead.stdin.closed


@pytest.mark.parametrize("code", [0, 1])
def test_what_the_process_could_not_do_is_shown(sweep, tmp_path, monkeypatch, capsys, code):
    ending = subprocess.Popen([sys.executable, "-c", f"raise SystemExit({code})"], stdin=subprocess.PIPE, text=True)
    monkeypatch.setattr(WandbProcess, "_start", lambda self: ending)
    with wandb_process(sweep) as process:
        process.tell(display())
        process.complete = True
        storage(tmp_path / "results" / "small").write(note_of("wandb"), b"W&B did not take it")
    assert capsys.readouterr().err == "warning: W&B did not take it\n" * code


def test_a_process_that_reads_nothing_holds_nobody_up(sweep, monkeypatch):
    stuck = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.PIPE, text=True)
    assert stuck.stdin is not None
    os.set_blocking(stuck.stdin.fileno(), False)
    monkeypatch.setattr(WandbProcess, "_start", lambda self: stuck)
    monkeypatch.setattr("zfscale.sweep.wandb_process.TELL_EVERY", 0.0)
    try:
        with wandb_process(sweep) as process:
            for _ in range(2000):  # more than a pipe takes
                process.tell(display())
            assert stuck.poll() is None
        assert stuck.stdin.closed
    finally:
        stuck.kill()
