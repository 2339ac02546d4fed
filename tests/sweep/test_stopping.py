"""Sweeps under a scheduler, by the real command: who is stopped, continued, and what a kill changes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.conftest import Memory, sweep_file
from tests.sweep.test_real_runs import kill_everything, run, start, tables, wait_for_attempts
from zfscale import spec
from zfscale.trial import run as trial
from zfscale.trial.inputs import Inputs

BLOCKS: dict[str, Any] = {
    "method": {},
    "train": {"epochs": 4, "batch_size": 8},
    "space": {"method.name": {"grid": ["ease", "finetune"]}, "seed": {"grid": [0, 1]}},  # the second is the worse
    "search": {"scheduler": "asha", "metric": "last_accuracy"},
    "resources": {"max_concurrent": 1},  # one after the other: the decisions follow from the file
}


def written(folder: Path, tiny_vit: Path, image_folder: Path, **blocks: Any) -> Path:
    folder.mkdir(exist_ok=True)
    data = {"path": str(image_folder), "format": "imagefolder"}
    stream = {"stream": {"dataset": data, "tasks": 3, "validation": 0.25}}
    return sweep_file(folder / "s.yaml", tiny_vit, image_folder, **(BLOCKS | stream | blocks))


def decisions(file: Path) -> list[tuple[Any, ...]]:
    found = pd.read_parquet(file.parent / "results" / "small" / "decisions")
    return list(found[["trial_id", "stage", "value", "decision", "why"]].itertuples(index=False, name=None))


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, tiny_vit: Path, image_folder: Path) -> Path:
    """The file of a sweep that has ended under ASHA."""
    file = written(tmp_path_factory.mktemp("judged"), tiny_vit, image_folder)
    done = run(file)
    assert done.returncode == 0, done.stderr
    assert "stopped trials\n" in done.stdout
    return file


def test_stopped_trials_keep_what_they_did_and_are_continued_as_if_nothing_had_been(judged: Path) -> None:
    results = judged.parent / "results" / "small"
    before = {row["trial_id"]: row for row in tables(results)["trials"]}
    stopped = {name for name, row in before.items() if row["status"] == "stopped"}
    assert {row["status"] for row in before.values()} == {"finished", "stopped"}
    told = pd.read_parquet(results / "decisions")
    assert stopped == set(told[told["decision"] == "stop"]["trial_id"])
    stages = pd.read_parquet(results / "evals").groupby("trial_id")["stage"].max().to_dict()
    assert stages == {name: row["stopped_at"] if name in stopped else 3 for name, row in before.items()}
    assert len(stopped) == 2
    assert "1/4 done" not in run(judged).stderr, "stopped trials have ended"
    again = run(judged, "--continue-stopped")
    assert again.returncode == 0, again.stderr
    assert "4 trials finished, 0 failed." in again.stdout
    sweep = spec.load(judged)
    found, inputs = tables(results), Inputs(sweep.trials)
    for one in sweep.trials:
        memory, mine = Memory(), [row for row in found["ledger"] if row["trial_id"] == one.trial_id]
        outcome = trial.run(one, *inputs.of(one), memory)
        (row,) = [row for row in found["trials"] if row["trial_id"] == one.trial_id]
        assert row["avg_accuracy"] == outcome.avg_accuracy
        assert sorted(q["seed"] for q in mine) == sorted(q.signed_seed for q in memory.queries)
        assert sorted(q["coefficient"] for q in mine) == sorted(q.coefficient for q in memory.queries)
        assert (row["stopped_at"], row["forwards"]) == (None, outcome.forwards)


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_interrupted_decides_as_one_that_is_not(
    how: signal.Signals, tmp_path: Path, tiny_vit: Path, image_folder: Path
) -> None:
    whole, hurt = (written(tmp_path / name, tiny_vit, image_folder) for name in ("whole", "hurt"))
    assert run(whole).returncode == 0
    process = start(hurt)
    wait_for_attempts(hurt.parent / "results" / "small", 3, process)
    kill_everything(process) if how == signal.SIGKILL else process.send_signal(how)
    process.wait()
    statuses = {row["status"] for row in tables(hurt.parent / "results" / "small")["trials"]}
    assert statuses <= {"finished", "stopped"}
    assert run(hurt).returncode == 0
    assert tables(hurt.parent / "results" / "small") == tables(whole.parent / "results" / "small")
    assert decisions(hurt) == decisions(whole)


@pytest.mark.slow
def test_a_sweep_ends_once_a_trial_is_good_enough(tmp_path: Path, tiny_vit: Path, image_folder: Path) -> None:
    search = {"metric": "last_accuracy", "until": {"last_accuracy": 0.0}}
    file = written(tmp_path / "until", tiny_vit, image_folder, search=search)
    done = run(file)
    assert done.returncode == 0, done.stderr
    assert "search.until is reached: 3 of 4 trials were not run" in done.stdout
    assert len(tables(file.parent / "results" / "small")["trials"]) == 1
    assert "3 of 4 trials were not run" in run(file).stdout
