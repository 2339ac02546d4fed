"""The sweep of all five things from outside, on real Ray: killed, resumed bit for bit, and replayed."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from tests.sweep.test_real_runs import kill_everything, run, start, tables, wait_for_attempts
from zfscale import spec
from zfscale.testing.running import ran
from zfscale.testing.tiny import tiny_images
from zfscale.trial.inputs import Inputs
from zfscale.trial.replay import replay

HERE = Path(__file__).parent


def home(path: Path) -> Path:
    """A user's directory: the package, the images and the sweep file."""
    shutil.copytree(HERE / "extras", path / "extras")
    tiny_images(path / "images")
    return Path(shutil.copy(HERE / "all_five.yaml", path))


@pytest.mark.slow
def test_it_runs_is_killed_resumes_and_replays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import load_file

    files = {name: home(tmp_path / name) for name in ("undisturbed", "killed")}
    monkeypatch.chdir(files["undisturbed"].parent)
    done = run(files["undisturbed"])
    assert done.returncode == 0, done.stderr
    assert "2 trials finished, 0 failed" in done.stdout
    monkeypatch.chdir(files["killed"].parent)
    results = Path("results/all_five").absolute()
    process = start(files["killed"])
    wait_for_attempts(results, 2, process)
    time.sleep(3)
    kill_everything(process)
    done = run(files["killed"])
    assert done.returncode == 0, done.stderr
    assert tables(results) == tables(files["undisturbed"].parent / "results/all_five")
    for trial in spec.load(files["killed"]).trials:
        totals = json.loads((results / "counts" / f"{trial.trial_id}.json").read_text())
        assert totals == {"steps": 400, "queries": 400, "evals": 9, "status": "finished"}
        assert replay(results, trial.trial_id, tmp_path / trial.trial_id) == 400
        rebuilt = load_file(tmp_path / trial.trial_id / "model.safetensors")
        trained = ran(trial, Inputs([trial])).weights
        assert all((rebuilt[name] == value).all() for name, value in trained.items())
